"""What the language's models want, in words for people: no library's jargon in an error about a file."""

from __future__ import annotations

from maestro.notation.words import Terms
from maestro.workflow.cron import CRON_PATTERN
from maestro.workflow.duration import PATTERN as DURATION_PATTERN
from maestro.workflow.model import NAME_PATTERN, OWNER_PATTERN, VARIABLE_PATTERN

PATTERNS = {
    NAME_PATTERN: "a name (letters, digits, '-' and '_', a letter first, at most 63)",
    DURATION_PATTERN: "a duration: seconds, or a text like 45s, 10m, 1h30m",
    CRON_PATTERN: "a cron expression (minute, hour, day of the month, month, day of the week)",
    VARIABLE_PATTERN: "a variable name (letters, digits and '_', no digit first)",
    OWNER_PATTERN: "an email address or team:NAME",
}
TERMS = Terms(PATTERNS, {"stages": "a stage", "steps": "a step", "parallel": "a step", "finally": "a step"})
