"""Where things lie in the store: one function a kind of key. Names from outside never become more than one path part.

::

    cas/sha256/ab/cdef…                        bytes, by their digest
    cache/<key>.json                           the record of a cached step
    runs/<run>/<step>.json                     what a step of a run did
    revisions/<project>/<revision>/<step>.json what a step last did for a revision
    effects/<key>/{started,done}.json          the journal of outside effects
    evidence/revisions/<project>/<revision>/<bundle>.json  which signed statements a revision has
    evidence/subjects/<digest>/<bundle>.json   which revisions have statements about these bytes
    evidence/quarantine/<digest>.json          what must not be used, and why
    waivers/<id>.json                          signed exceptions from policy
    evals/<project>/<data set>/<model>/<week>.json  what an evaluation of a model found
    eval_reports/<project>/<data set>/<week>.{html,json}  how a week's models compared with their last good week
    llm/answers/<key>.json                     what a model answered, by what it was asked
    quarantine/…                               what turned out corrupt
    staging/…                                  files being written (local folders only)
"""

from __future__ import annotations

import hashlib
from urllib.parse import quote, unquote

from maestro.artifacts.artifact import checked_sha256

CAS = "cas/sha256"
CACHE = "cache"
RUNS = "runs"
REVISIONS = "revisions"
EFFECTS = "effects"
EVIDENCE = "evidence"
WAIVERS = "waivers"
EVALS = "evals"
EVAL_REPORTS = "eval_reports"
ANSWERS = "llm/answers"
QUARANTINE = "quarantine"
STAGING = "staging"

# File systems allow 255 bytes a name; what is left is for ".json" and a staging suffix.
_LONGEST_PART = 200
_CUT = "%~"
_EMPTY = "%"


def part(name: str) -> str:
    """``name`` as one path part: percent-encoded (RFC 3986), never ``.`` or ``..``, never empty, never too long."""
    encoded = quote(name, safe="", errors="surrogatepass") or _EMPTY
    if encoded.startswith("."):
        encoded = "%2E" + encoded[1:]
    if len(encoded) > _LONGEST_PART:
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
        # A percent sign followed by a tilde is no percent-encoding, so a cut name equals no whole one.
        encoded = f"{encoded[:100]}{_CUT}{digest}"
    return encoded


def name_of(encoded: str) -> str | None:
    """The name :func:`part` was given, or None when it was too long to be kept whole or is no such part."""
    if encoded == _EMPTY:
        return ""
    if _CUT in encoded:
        return None
    try:
        return unquote(encoded, errors="surrogatepass")
    except UnicodeDecodeError:
        return None


def cas(sha256: str) -> str:
    """The key of the bytes with this digest."""
    checked_sha256(sha256)
    return f"{CAS}/{sha256[:2]}/{sha256[2:]}"


def cache(key: str) -> str:
    """The key of the record cached under ``key``."""
    return f"{CACHE}/{part(key)}.json"


def run_step(run_id: str, step: str) -> str:
    """The key of what ``step`` did in a run."""
    return f"{RUNS}/{part(run_id)}/{part(step)}.json"


def revision_step(project: str, revision: str, step: str) -> str:
    """The key of what ``step`` last did for a revision."""
    return f"{REVISIONS}/{part(project)}/{part(revision)}/{part(step)}.json"


def effect(key: str, moment: str) -> str:
    """The key of ``started`` or ``done`` of an effect."""
    return f"{EFFECTS}/{part(key)}/{moment}.json"


def evidence_of_revision(project: str, revision: str, bundle: str | None = None) -> str:
    """The key of the index entry of a signed statement, or the folder of all entries of the revision."""
    folder = f"{EVIDENCE}/revisions/{part(project)}/{part(revision)}"
    return folder if bundle is None else f"{folder}/{checked_sha256(bundle)}.json"


def evidence_of_subject(digest: str, bundle: str | None = None) -> str:
    """The key that says which revision has the statement ``bundle`` about ``digest``; or the folder of all of them."""
    folder = f"{EVIDENCE}/subjects/{part(digest)}"
    return folder if bundle is None else f"{folder}/{checked_sha256(bundle)}.json"


def evidence_quarantine(digest: str) -> str:
    """The key that says why what has this digest must not be used."""
    return f"{EVIDENCE}/quarantine/{part(digest)}.json"


def waiver(waiver_id: str) -> str:
    """The key of a signed waiver."""
    return f"{WAIVERS}/{part(waiver_id)}.json"


def answer(key: str) -> str:
    """The key of a model's answer; ``key`` says what was asked."""
    return f"{ANSWERS}/{part(key)}.json"


def eval_models(project: str, dataset: str) -> str:
    """The folder of all models that were evaluated with a data set."""
    return f"{EVALS}/{part(project)}/{part(dataset)}"


def eval_weeks(project: str, dataset: str, model: str) -> str:
    """The folder of all weeks in which a model was evaluated with a data set."""
    return f"{eval_models(project, dataset)}/{part(model)}"


def eval_week(project: str, dataset: str, model: str, week: str) -> str:
    """The key of what a model did with a data set in a week."""
    return f"{eval_weeks(project, dataset, model)}/{part(week)}.json"


def eval_report(project: str, dataset: str, week: str, form: str) -> str:
    """The key of a week's report, as ``html`` or ``json``."""
    return f"{EVAL_REPORTS}/{part(project)}/{part(dataset)}/{part(week)}.{form}"


def quarantine(key: str) -> str:
    """Where a damaged object goes, to which a timestamp is added: ``quarantine/sha256/<digest>`` for bytes."""
    if key.startswith(f"{CAS}/"):
        return f"{QUARANTINE}/sha256/{key.removeprefix(CAS).replace('/', '')}"
    return f"{QUARANTINE}/{key}"
