"""Whether a model goes into memory, where it would run, and which one of several is taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from maestro.llm.ollama.facts import LoadedModel, same_name
from maestro.llm.ollama.memory import Memory
from maestro.llm.ollama.need import Need, shown

Place = Literal["loaded", "gpu", "partly", "cpu", "nowhere"]


@dataclass(frozen=True, slots=True)
class Fit:
    """The verdict on one model.

    Args:
        place: where it would run: ``loaded`` (it is in memory), wholly on GPUs, ``partly`` on GPUs, on the CPU.
        why: one sentence, with numbers.
        unload: models that have to leave memory first.
    """

    model: str
    place: Place
    why: str
    unload: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether it can be used."""
        return self.place != "nowhere"


def fit(need: Need, memory: Memory | None, loaded: Sequence[LoadedModel] = ()) -> Fit:
    """Whether the model goes in: beside those that are loaded, else in place of them.

    Args:
        memory: None: not known, as that of another machine; then nothing speaks against it.
    """
    model = need.model
    here = next((one for one in loaded if same_name(one.name, model)), None)
    if here is not None and (not here.context or here.context >= need.context):
        return Fit(model, "loaded", f"{model} is loaded, {here.offload:.0%} of it on a GPU")
    # Loaded for a shorter context, it is loaded anew: what it holds now becomes free.
    others = [one for one in loaded if here is None or one is not here]
    gpu = memory.gpu_free + (here.size_vram if here else 0) if memory else 0
    host = memory.available + (here.size - here.size_vram if here else 0) if memory else 0
    wants = f"{model} needs about {shown(need.total)} for {need.context:,} tokens of context"
    if memory is None:
        return Fit(model, "cpu", f"{wants}; how much the machine of Ollama has is not known")
    has_gpu = bool(memory.gpus)
    place = _place(need.total, gpu, host, has_gpu)
    if place == "gpu" or (place != "nowhere" and not (has_gpu and others)):
        return Fit(model, place, f"{wants}, {_free(gpu, host, memory)}")
    freed_gpu = gpu + sum(one.size_vram for one in others)
    freed_host = host + sum(max(0, one.size - one.size_vram) for one in others)
    alone = _place(need.total, freed_gpu, min(freed_host, memory.total), has_gpu)
    if others and (alone == "gpu" or (alone != "nowhere" and place == "nowhere")):
        names = tuple(one.name for one in others)
        return Fit(model, alone, f"{wants}; {' and '.join(names)} would have to be unloaded", names)
    if place != "nowhere":
        return Fit(model, place, f"{wants}, {_free(gpu, host, memory)}")
    most = f" even with {' and '.join(one.name for one in others)} unloaded" if others else ""
    return Fit(model, "nowhere", f"{wants}, {_free(freed_gpu, freed_host, memory)}{most}")


def _place(total: int, gpu: int, host: int, has_gpu: bool) -> Place:
    if has_gpu and total <= gpu:
        return "gpu"
    if total <= host + gpu:
        return "partly" if gpu else "cpu"
    return "nowhere"


def _free(gpu: int, host: int, memory: Memory) -> str:
    of = " under the cgroup's limit" if memory.limited else ""
    gpus = f" and {shown(gpu)} on {len(memory.gpus)} GPU{'s' * (len(memory.gpus) > 1)}" if memory.gpus else ""
    return f"{shown(host)} of memory{of}{gpus} are free"


@dataclass(frozen=True, slots=True)
class Choice:
    """Which of several models is taken; ``model`` None: none of them.

    Args:
        skipped: model -> sentence, for those that are not possible; what is possible but was not taken is not in it.
    """

    model: str | None
    why: str
    skipped: Mapping[str, str]


_RANK: Mapping[Place, int] = {"loaded": 0, "gpu": 0, "cpu": 1, "partly": 1, "nowhere": 2}


def choose(names: Sequence[str], present: Sequence[str], fits: Mapping[str, Fit]) -> Choice:
    """The first of ``names``, in their order, that is loaded or goes wholly onto GPUs; else the first that fits at all.

    Args:
        fits: by the name in ``names``; a name that is not in it was not reckoned and counts as fitting on the CPU.
    """
    skipped: dict[str, str] = {}
    possible: list[tuple[int, int, str]] = []
    for order, name in enumerate(names):
        if not any(same_name(name, one) for one in present):
            skipped[name] = f"{name} is not present"
            continue
        verdict = fits.get(name)
        if verdict is not None and not verdict.fits:
            skipped[name] = verdict.why
            continue
        possible.append((_RANK[verdict.place] if verdict else 1, order, name))
    if not possible:
        return Choice(None, "; ".join(skipped.values()) or "no model was named", skipped)
    _, _, taken = min(possible)
    verdict = fits.get(taken)
    return Choice(taken, verdict.why if verdict else f"{taken} is present", skipped)
