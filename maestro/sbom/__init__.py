"""Software bills of materials: made, normalised, validated, converted and compared.

What a cataloguer found becomes a CycloneDX 1.6 document in one canonical form (``normalise.py``), and SPDX 2.3 is
written from that (``spdx.py``). Documents from anywhere are read as a stream within limits (``reading.py``), and two of
them are compared by what a component is called (``diff.py``). Nothing here is imported before it is needed: the
libraries behind it come with the extra ``evidence``.
"""
