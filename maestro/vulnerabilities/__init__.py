"""Known vulnerabilities: the advisory database, matching, and reports that never take not scanned for clean."""
