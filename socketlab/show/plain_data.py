"""Show: values as JSON has them."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from netem_impairment import Impairment

from socketlab.analyse.result import Result, TcpResult, UdpResult


def as_data(thing: object) -> Any:
    """Return a value as JSON has it: dataclasses become objects, an impairment is told in tc's language."""
    if isinstance(thing, Impairment):
        return {"spec": str(thing.spec), "directions": thing.directions, "traffic": str(thing.traffic)}
    if isinstance(thing, UdpResult | TcpResult):
        return of_result(thing)
    if is_dataclass(thing) and not isinstance(thing, type):
        return _fields(thing)
    if isinstance(thing, Mapping):
        return {str(key): as_data(value) for key, value in thing.items()}
    if isinstance(thing, list | tuple):
        return [as_data(value) for value in thing]
    return thing.value if isinstance(thing, Enum) else thing


def of_result(result: Result) -> dict[str, Any]:
    """Return the result of an experiment; its protocol comes first."""
    protocol = result.experiment.stream.protocol.value
    return {"protocol": protocol, "exit_code": result.exit_code} | _fields(result)


def _fields(thing: object) -> dict[str, Any]:
    assert is_dataclass(thing)  # noqa: S101 - for the type checker
    return {field.name: as_data(getattr(thing, field.name)) for field in fields(thing)}
