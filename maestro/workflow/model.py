"""The workflow language as frozen models: one ``maestro.yaml`` is one ``Workflow``.

Shape and types only. What needs the whole document (references, cycles, kinds, expressions) is checked in
``maestro.workflow.check``; places come from ``maestro.workflow.load``. The JSON Schema and the reference in docs/ are
generated from these classes, so a field's description is its documentation.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from maestro.evidence.types import EvidenceTypeName
from maestro.workflow.base import Model, Text
from maestro.workflow.budget import Budget
from maestro.workflow.concurrency import Concurrency
from maestro.workflow.duration import Duration
from maestro.workflow.triggers import On, Triggers, triggers_of

NAME_PATTERN = r"^[A-Za-z][A-Za-z0-9_-]{0,62}$"
VARIABLE_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*$"

Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
Variable = Annotated[str, StringConstraints(pattern=VARIABLE_PATTERN)]
OWNER_PATTERN = r"^(team:.+|[^@\s]+@[^@\s]+\.[^@\s]+)$"
Owner = Annotated[str, StringConstraints(pattern=OWNER_PATTERN)]
Scalar = str | int | float | bool | None
EnvironmentValue = str | int | float | bool


class Parameter(Model):
    """A value the person who starts a run may set (``--param name=value``)."""

    type: Literal["string", "integer", "number", "boolean", "list", "object"] = Field(
        "string", description="JSON type of the value."
    )
    default: Any = Field(None, description="Value when none is given; without a default the parameter is required.")
    enum: list[Any] | None = Field(None, min_length=1, description="The only values allowed.")
    description: str = Field("", description="One sentence shown by `maestro plan` and in the Dagster UI.")

    @property
    def required(self) -> bool:
        """True when a run must be given a value."""
        return "default" not in self.model_fields_set


class Secret(Model):
    """Where a secret is read from; its value never stands in the file."""

    provider: Literal["env", "file"] = Field(
        "env", description="`env`: environment of Maestro; `file`: a file of mode 0600."
    )
    variable: str | None = Field(
        None, description="For `env`: name of the variable; the secret's own name if not given."
    )
    path: str | None = Field(None, description="For `file`: path, relative to the repository.")

    @model_validator(mode="after")
    def _path_belongs_to_file(self) -> Secret:
        if self.provider == "file" and not self.path:
            raise ValueError("a secret of provider 'file' needs 'path'")
        if self.provider == "env" and self.path:
            raise ValueError("'path' belongs to provider 'file'; add provider: file")
        return self


class Retries(Model):
    """What happens when a step fails: it is tried again."""

    max: int = Field(0, ge=0, le=20, description="How many times it is tried again.")
    delay: Duration = Field(1.0, description="Wait before the second attempt.")
    backoff: Literal["constant", "linear", "exponential"] = Field("exponential", description="How the wait grows.")
    jitter: bool = Field(
        True, description="Makes waits randomly shorter or longer by at most `delay`, so that retries do not meet."
    )


class Matrix(Model):
    """One step becomes one step per combination of the axes' values."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, defer_build=True)
    __pydantic_extra__: dict[str, list[Scalar] | str] = Field(init=False)

    include: list[dict[str, Scalar]] = Field(
        default_factory=list, description="Cells to add, or values to add to the cells they match."
    )
    exclude: list[dict[str, Scalar]] = Field(default_factory=list, description="Cells to leave out.")

    @property
    def axes(self) -> dict[str, list[Scalar] | str]:
        """Axis name -> its values, or an expression over ``params`` that gives a list."""
        return dict(self.__pydantic_extra__ or {})


class Effects(Model):
    """Says that the step changes something outside the workspace."""

    probe: Text | None = Field(
        None,
        description="Shell command that exits 0 when the effect of this run is already there, 1 when not. Asked when a "
        "run resumes and cannot know; MAESTRO_IDEMPOTENCY_KEY is set.",
    )


class Compensate(Model):
    """What undoes a finished step when the run fails or is cancelled later."""

    run: Text = Field("shell", description="Step kind.")
    with_: dict[str, Any] = Field(default_factory=dict, alias="with", description="Parameters of the kind.")
    env: dict[str, EnvironmentValue] = Field(default_factory=dict, description="Added to the step's environment.")
    timeout: Duration | None = Field(None, description="Longest time it may take.")
    retries: Retries = Field(default_factory=Retries, description="Tried again when it fails.")


class Step(Model):
    """One unit of work: compiles to one asset, or to one for each cell of its matrix."""

    id: Name | None = Field(None, description="Unique in the workflow; made from `run` when not given.")
    run: Text = Field(description="Step kind.")
    with_: dict[str, Any] = Field(default_factory=dict, alias="with", description="Parameters of the kind.")
    description: str = Field("", description="One sentence shown in the plan and in the Dagster UI.")
    owners: list[Owner] = Field(default_factory=list, description="Email addresses or `team:name`, shown on the asset.")
    depends_on: list[Text] = Field(default_factory=list, description="Ids of steps that must have passed before.")
    when: str | bool | None = Field(None, description="Expression; the step is left out when it is false.")
    matrix: Matrix | None = Field(None, description="Runs the step once per combination of values.")
    inputs: list[Text] | None = Field(
        None, description="Globs of the files it depends on; every file of the revision when not given."
    )
    outputs: list[Text] | dict[Name, Text] = Field(
        default_factory=list, description="Files it leaves behind: globs, or a name for each."
    )
    cache: bool = Field(True, description="False: always runs.")
    cache_key: str | None = Field(None, description="Text that is part of the cache key.")
    env: dict[Variable, EnvironmentValue] = Field(default_factory=dict, description="Environment of its processes.")
    secrets: list[Variable] | dict[Variable, Variable] = Field(
        default_factory=list, description="Secrets it gets by environment: names, or variable: name."
    )
    retries: Retries = Field(default_factory=Retries, description="Tried again when it fails.")
    timeout: Duration | None = Field(None, description="Longest time one attempt may take.")
    compensate: Compensate | None = Field(None, description="What undoes it when the run fails or is cancelled later.")
    effects: bool | Effects = Field(
        False, description="True when it changes something outside the workspace: never cached."
    )
    pool: Text | None = Field(None, description="Dagster pool it takes a slot of.")
    sandbox: bool = Field(False, description="Runs with a view of its own: no network, nothing but the source to read.")
    network: bool | list[Text] = Field(False, description="With `sandbox`: true gives it the network.")
    continue_on_error: bool = Field(False, description="A failure is shown, but what comes after goes on.")

    @model_validator(mode="before")
    @classmethod
    def _cache_key_may_stand_under_with(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("with"), dict) and "cache_key" in data["with"]:
            if "cache_key" in data:
                raise ValueError("'cache_key' is given twice, here and under 'with'; keep one")
            parameters = dict(data["with"])
            return {**data, "with": parameters, "cache_key": parameters.pop("cache_key")}
        return data

    @property
    def has_effects(self) -> bool:
        """True when the step says that it changes something outside."""
        return self.effects is not False


class Stage(Model):
    """A named group of steps: ``steps`` run one after another, ``parallel`` at once."""

    name: Name = Field(description="Unique in the workflow.")
    needs: list[Text] | None = Field(
        None, description="Stages it waits for; the stage before it when not given, none when empty."
    )
    when: str | bool | None = Field(None, description="Expression; the whole stage is left out when it is false.")
    steps: list[Step] | None = Field(None, min_length=1, description="Steps that run one after another.")
    parallel: list[Step] | None = Field(None, min_length=1, description="Steps that run at once.")

    @model_validator(mode="after")
    def _one_of_steps_and_parallel(self) -> Stage:
        if (self.steps is None) == (self.parallel is None):
            raise ValueError("a stage has either 'steps' (one after another) or 'parallel' (at once)")
        return self

    @property
    def members(self) -> list[Step]:
        """Its steps, in the order of the file."""
        return list(self.steps or self.parallel or [])


class EvidenceContract(Model):
    """What every revision must have signed evidence of, before anything goes on behind a gate."""

    require: list[EvidenceTypeName] = Field(
        min_length=1, description="Evidence types: about everything delivered, or about the revision of the source."
    )


class Workflow(Model):
    """One ``maestro.yaml``: what is done for every revision of a project."""

    name: Name = Field(description="Name of the workflow; also of its Dagster job.")
    version: str = Field(
        "0", description="Version of the workflow, for people; also part of each asset's code version."
    )
    project: Name | None = Field(None, description="Name of the project; the repository's name when not given.")
    description: str = Field("", description="One sentence shown in the Dagster UI.")
    params: dict[Variable, Parameter] = Field(default_factory=dict, description="Values a run may be given.")
    env: dict[Variable, EnvironmentValue] = Field(default_factory=dict, description="Environment of every step.")
    secrets: list[Variable] | dict[Variable, Secret | None] = Field(
        default_factory=list,
        description="Secrets steps may name: names read from the environment, or where each is.",
    )
    timeout: Duration | None = Field(None, description="Longest time a run may take.")
    budget: Budget | None = Field(None, description="The most a step, a run, a pull request or a month may use.")
    on: On = Field(
        None, description="What starts a run on a server: one word, a list of them, or a mapping with filters."
    )
    concurrency: Concurrency | None = Field(
        None, description="Which runs must not go on at once, and which goes first, on a server."
    )
    evidence: EvidenceContract | None = Field(None, description="The project's contract: evidence that must be there.")
    stages: list[Stage] = Field(min_length=1, description="Stages, in order.")
    finally_: list[Step] = Field(
        default_factory=list,
        alias="finally",
        description="Steps that run at the run's end, whatever happened.",
    )

    @property
    def triggers(self) -> Triggers | None:
        """``on`` as a mapping, however it was written; None without ``on``."""
        return triggers_of(self.on)

    @property
    def required_evidence(self) -> list[str]:
        """Evidence types of the project's contract."""
        return [] if self.evidence is None else list(self.evidence.require)

    @property
    def secret_sources(self) -> dict[str, Secret]:
        """Secret name -> where it is read from."""
        if isinstance(self.secrets, list):
            return {name: Secret() for name in self.secrets}
        return {name: source or Secret() for name, source in self.secrets.items()}
