"""Experiment files: reading, overriding, writing; must not know what is built from them.

One error reports everything that is wrong in a file: each key, and the key that was probably meant.
"""

import glob
import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel, ValidationError

from gossipfl.config.algorithm import DecaySettings
from gossipfl.config.code import anchored
from gossipfl.config.experiment import Experiment
from gossipfl.config.fault import FaultSettings
from gossipfl.errors import BadExperiment

__all__ = ["Experiment", "dump", "full_key", "load", "made", "parse", "schema"]

# the key that the name of a section stands for on the command line
MAIN = {"data": "source", "topology": "graph", "model": "kind", "algorithm": "kind"}


# what else keys may be that take a number
EITHER = {
    "step": 'a positive number or "auto"',
    "batch": 'a positive number or "full"',
    "l1": 'a number from 0 on, "cv" or "cv-1se"',
    "l2": 'a number from 0 on, "cv" or "cv-1se"',
}


def load(path: Path, overrides: Iterable[str] = ()) -> Experiment:
    """The experiment in a TOML file, changed by `overrides` such as "stop.rounds=100". Its paths become absolute.

    Raises:
        BadExperiment: the file cannot be read, or its content is wrong; the message lists all errors.
    """
    from gossipfl.data import READERS

    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        if path.is_dir():
            files = ", ".join(sorted(p.name for p in path.glob("*.toml"))[:8]) or "none"
            raise BadExperiment(
                f"{path} is a folder: give the experiment file in it (it has: {files})"
            ) from None
        near = get_close_matches(path.name, _names_in(path.parent), 1)
        hint = (
            f"; did you mean {path.parent / near[0]}?"
            if near
            else "; `gossipfl examples` lists files to start from"
        )
        kind = "data" if path.suffix.lower() in READERS else "experiment"
        raise BadExperiment(f"cannot read the {kind} file {path}: {error.strerror}{hint}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        if path.suffix.lower() in READERS:
            raise BadExperiment(
                f"{path} is data, and no experiment file: gossipfl init {path} writes one"
            ) from None
        data = "" if path.suffix == ".toml" else f"; data files end in {', '.join(READERS)}"
        raise BadExperiment(f"{path} is not a TOML file: {error}{data}") from None
    return made(raw, overrides, path.parent, str(path))


def is_data(file: Path) -> bool:
    """Whether a file is data; other files are experiments."""
    if (kind := _unpacked(file)) in ("", ".toml") or not file.is_file():
        return False
    from gossipfl.data import READERS

    return kind in READERS


def has_names(file: Path) -> bool:
    """Whether a data file is of a format that may name its columns; LIBSVM has numbers."""
    from gossipfl.data.readers import READERS, read_libsvm

    return READERS.get(_unpacked(file)) is not read_libsvm


def _unpacked(file: Path) -> str:
    """The suffix of a file without that of its compression."""
    plain = file.with_suffix("") if file.suffix.lower() in (".gz", ".xz", ".bz2") else file
    return plain.suffix.lower()


def made(raw: dict[str, Any], overrides: Iterable[str], folder: Path, where: str) -> Experiment:
    """The experiment in nested tables, changed by `overrides`; its paths are relative to a folder, and become absolute.

    Raises:
        BadExperiment: the content is wrong; the message lists all errors.
    """
    for override in overrides:
        _set(raw, override)
    return _anchored(parse(raw, where), folder.absolute())


def tables(overrides: Iterable[str]) -> dict[str, Any]:
    """Overrides alone, as nested tables. Raises BadExperiment."""
    raw: dict[str, Any] = {}
    for override in overrides:
        _set(raw, override)
    return raw


def parse(raw: Mapping[str, Any], where: str = "the experiment") -> Experiment:
    """The experiment that nested tables describe. Raises BadExperiment with all errors in them."""
    try:
        return Experiment.model_validate(raw)
    except ValidationError as error:
        lines = [_sentence(details) for details in _unique(error)]
        raise BadExperiment(f"{where}: " + ("\n  " if len(lines) > 1 else "") + "\n  ".join(lines)) from None


def dump(experiment: Experiment) -> str:
    """The experiment as TOML, with all defaults; `load` reads it back."""
    return tomli_w.dumps(experiment.model_dump(mode="json", exclude_none=True))


def schema() -> dict[str, Any]:
    """The JSON Schema of an experiment file, for editors."""
    return Experiment.model_json_schema()


def _anchored(experiment: Experiment, folder: Path) -> Experiment:
    """The same experiment with absolute paths, so that it can be repeated from any folder."""
    from gossipfl.data import BUNDLED
    from gossipfl.data.sources import MEMORY
    from gossipfl.topology import FORMATS

    data, topology, model = experiment.data, experiment.topology, experiment.model
    if data.source not in BUNDLED and not data.source.startswith(("openml:", MEMORY)):
        data = data.model_copy(update={"source": _source(data.source, folder)})
    if Path(topology.graph).suffix in FORMATS or (folder / topology.graph).is_file():
        topology = topology.model_copy(update={"graph": str(folder / topology.graph)})
    topology = topology.model_copy(update={"graph": anchored(topology.graph, folder)})
    model = model.model_copy(update={"kind": anchored(model.kind, folder)})
    named = {"kind": experiment.algorithm.kind, "aggregator": experiment.algorithm.aggregator}
    named = {key: value and anchored(value, folder) for key, value in named.items()}
    algorithm = experiment.algorithm.model_copy(update=named)
    if model.module is not None:
        model = model.model_copy(update={"module": str(folder / model.module)})
    return experiment.model_copy(
        update={"data": data, "topology": topology, "model": model, "algorithm": algorithm}
    )


def full_key(key: str, value: str) -> str:
    """The full key of a setting on the command line: `topology` is `topology.graph`, and a key of one section needs no section.

    Raises:
        BadExperiment: no section has the key, or several have it.
    """
    sections = _sections()
    if key in MAIN and not value.startswith("{"):
        return f"{key}.{MAIN[key]}"
    first = key.partition(".")[0]
    if first in Experiment.model_fields:
        return key
    owners = [name for name, section in sections.items() if first in section.model_fields]
    if len(owners) == 1:
        return f"{owners[0]}.{key}"
    if first != key and not owners:
        return key
    found = " or ".join(f"{owner}.{key}" for owner in owners)
    raise BadExperiment(
        f"-s {key}=...: "
        + (f"write {found}" if owners else "no section has this key: write section.key=value")
    )


def _sections() -> Mapping[str, type[BaseModel]]:
    fields = {name: field.annotation for name, field in Experiment.model_fields.items()}
    return {
        name: kind for name, kind in fields.items() if isinstance(kind, type) and issubclass(kind, BaseModel)
    }


def _source(source: str, folder: Path) -> str:
    """The absolute path of data. What the folder's own name has of the signs of a pattern is no pattern."""
    path = folder / source
    pattern = glob.has_magic(source) and not path.exists() and not Path(source).is_absolute()
    return f"{glob.escape(str(folder))}/{source}" if pattern else str(path)


def _set(raw: dict[str, Any], override: str) -> None:
    """Put "section.key=value" into the tables. A value that is no TOML is a string."""
    key, equals, text = override.partition("=")
    if not equals or not all(part.strip() for part in key.split(".")):
        raise BadExperiment(f"-s {override}: write section.key=value, for example -s stop.rounds=100")
    path = [part.strip() for part in full_key(key.strip(), text.strip()).split(".")]
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
        if (value[:1], value[-1:]) in (("{", "}"), ("[", "]")):
            raise BadExperiment(
                f"-s {override}: write words in double quotes, and all in single quotes for the shell: "
                "-s 'key={name=\"word\"}' or -s 'key=[\"word\"]'"
            ) from None
    put(raw, path, value, f"-s {override}")


def put(raw: dict[str, Any], path: Sequence[str], value: Any, what: str) -> None:
    """Put a value into nested tables, at a path of keys. Raises BadExperiment, about `what`, where one of them is a value."""
    table = raw
    for part in path[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise BadExperiment(f"{what}: {part} is a value, and has no keys: write {part}=VALUE")
    table[path[-1]] = value


def _unique(error: ValidationError) -> Iterator[Any]:
    """One error for each key; pydantic reports one for each alternative type."""
    seen: dict[tuple[str, ...], Any] = {}
    for details in error.errors(include_url=False):
        loc = [str(part) for part in details["loc"]]
        seen.setdefault(tuple(loc[: 3 if loc[:1] == ["faults"] else 2]), details)
    return iter(seen.values())


def _sentence(details: Any) -> str:
    """The error of one key, as a sentence."""
    loc = [str(part) for part in details["loc"]]
    key = ".".join(loc)
    match details["type"]:
        case "extra_forbidden":
            known = _keys(loc[:-1])
            near = get_close_matches(loc[-1], known, 1, 0.5)
            return f"unknown key {key}: " + (
                f"did you mean {near[0]}?" if near else f"the keys here are {', '.join(known)}"
            )
        case "missing":
            return f"{key} is missing" + (
                ': set the data to learn from, for example data.source = "breast_cancer"'
                if "data" in loc
                else ""
            )
        case "model_type" | "dict_type":
            return _no_table(loc, details["input"])
        case "literal_error":
            near = get_close_matches(
                str(details["input"]),
                details["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", "),
                1,
            )
            own = (
                '; or one of your own, "file.py:Name"'
                if _plain(loc) in ("algorithm.kind", "model.kind")
                else ""
            )
            hint = f"; did you mean {json.dumps(near[0])}?" if near else own
            return f"{_plain(loc)} = {_shown(details['input'])}: should be {details['ctx']['expected']}{hint}"
        case "float_parsing" | "int_parsing" | "float_type" | "int_type" if len(loc) > 1 and loc[1] in EITHER:
            return f"{_plain(loc)} = {_shown(details['input'])}: should be {EITHER[loc[1]]}"
        case _:
            words = details["msg"].removeprefix("Value error, ")
            return f"{_plain(loc)} = {_shown(details['input'])}: {words[0].lower()}{words[1:]}"


def _no_table(loc: Sequence[str], value: Any) -> str:
    """The error of a value in the place of a table."""
    key, plain = ".".join(loc), value if isinstance(value, str | int | float) else "VALUE"
    if len(loc) > 1:
        return f"{key} = {_shown(value)}: should be a table of keys in braces"
    if key == "peers" and isinstance(value, int):
        return (
            f"peers is a section, not a key; the topology has the peers: write -s topology.graph=ring:{value}"
        )
    return f"{key} is a section, not a key: write -s {key}.{_keys(loc)[0]}={plain}"


def _plain(loc: Sequence[str]) -> str:
    """A key, without the names that pydantic appends for alternative types."""
    if loc[0] == "faults":
        return ".".join(loc[:3])
    return ".".join(loc[:2]) if len(loc) > 1 and loc[0] != "name" else ".".join(loc)


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def _keys(path: Sequence[str]) -> list[str]:
    """The keys of a section."""
    if path[:1] == ["faults"]:
        return list(FaultSettings.model_fields)
    section: Any = Experiment
    for part in path:
        field = section.model_fields.get(part)
        section = field.annotation if field else Experiment
        if not (isinstance(section, type) and issubclass(section, BaseModel)):
            section = DecaySettings if part == "decay" else Experiment
    return list(section.model_fields)


def _names_in(folder: Path) -> list[str]:
    return [p.name for p in folder.iterdir()] if folder.is_dir() else []
