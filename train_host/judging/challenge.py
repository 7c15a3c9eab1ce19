"""Champion and challenger: a new model takes the place of an old one only where it is shown to be better.

Both are judged on the same windows of groups that neither was trained on. The challenger keeps the champion's
split: whoever trained the champion trains the challenger, whoever tested it tests both, and groups that are
new in the data are divided as ever.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from edge_sdk import splits
from edge_sdk.contract import Contract
from edge_sdk.dataset import Dataset, Split
from edge_sdk.errors import ConfigError, DeviceError, ModelError, first_of
from edge_sdk.modelfile import CONTRACT, RUN, digest_of, read_members, write_atomic
from edge_sdk.schema import parse_contract
from train_host import companions
from train_host.config import Config


def trained(path: Path, remedy: str) -> dict[str, bytes]:
    """What a .keras carries of its training: members by name, the contract and the run record among them.

    Args:
        path: the file.
        remedy: what to do where it was not made by `edgeml train`.

    Raises:
        ModelError: no .keras file, or one without a contract or a record of its training.
    """
    members = read_members(path)
    for member in (CONTRACT, RUN):
        if member not in members:
            raise ModelError(
                f"{path}: no {member}", expected="a model that edgeml train has made", remedy=remedy
            )
    return members


@dataclass(frozen=True)
class Champion:
    """A model to be beaten.

    Attributes:
        path: its .keras file.
        digest: of that file.
        contract: that it carries.
        split: which groups it was trained and tested on.
        inherited: groups that the models had seen which it was started from.
    """

    path: Path
    digest: str
    contract: Contract
    split: Split
    inherited: frozenset[str] = frozenset()

    @classmethod
    def load(cls, path: Path) -> Champion:
        """Read a champion's contract and record; no TensorFlow.

        Raises:
            ModelError: no .keras file, or one without a contract or a record of its training.
        """
        members = trained(path, remedy="which groups it was trained on must be known")
        try:
            run = json.loads(members[RUN])
            sides, inherited = run["split"], frozenset(map(str, run.get("seen", ())))
            named = {side: tuple(map(str, sides[side])) for side in splits.SIDES}
            split = Split(**named, by=str(sides.get("by", "group")))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"{path}: {RUN}", expected="the groups of its split", found=error) from error
        contract = parse_contract(members[CONTRACT], where=f"{path}: {CONTRACT}")
        return cls(path, digest_of(path.read_bytes()), contract, split, inherited)

    @property
    def seen(self) -> frozenset[str]:
        """Groups that had a say in what it is."""
        return frozenset((*self.split.train, *self.split.validation)) | self.inherited


def seen(config: Config, split: Split) -> list[str]:
    """Groups that have a say in what a model of this training is, those behind its start included; sorted."""
    before = () if config.init_from is None else Champion.load(Path(config.init_from)).seen
    return sorted({*split.train, *split.validation, *before})


def enter(config: Config, dataset: Dataset, output: Path | None) -> Config:
    """The config of a challenger, with the champion's split in it; as it is where there is no champion.

    Args:
        config: that was asked for.
        dataset: that the challenger is trained on.
        output: where the challenger goes; None where no model is made.

    Raises:
        ModelError: the champion cannot be read.
        ConfigError: both cannot be judged alike.
        DatasetError: the data cannot be divided.
    """
    if config.compare_to is None:
        return config
    if output is None:
        raise ConfigError("compare-to", expected="-o CHALLENGER.keras", found="folds only")
    champion = Champion.load(Path(config.compare_to))
    if output.resolve() == champion.path.resolve():
        raise ConfigError(
            f"{output}: is the champion itself",
            expected="another file for the challenger",
            remedy="--replace puts the challenger in the champion's place where it is better",
        )
    entered = divide(champion, dataset, config)
    check(champion, dataset, entered.for_dataset(dataset), entered.divide(dataset))
    return entered


def divide(champion: Champion, dataset: Dataset, config: Config) -> Config:
    """The config with the champion's split, filled up with groups that are new in the data.

    A split that the config or the manifest gives stays as it is.

    Raises:
        DatasetError: too few groups.
    """
    known = {group: set[str]() for group in dataset.groups}
    for recording in dataset.recordings:
        if recording.label is not None:
            known[recording.group].add(recording.label)
            if recording.split:
                return config
    if config.split is not None:
        return config
    sides = {side: [g for g in getattr(champion.split, side) if g in known] for side in splits.SIDES}
    old = {group for groups in sides.values() for group in groups}
    left = sorted(group for group in champion.inherited - old if group in known)
    sides["train"] += left
    old |= set(left)
    new = {group: labels for group, labels in known.items() if group not in old}
    if len(new) > 1:
        divided = splits.split(new, config.seed, validation=0.0, test=config.test, by=dataset.group)
        sides["train"] += divided.train
        sides["test"] += divided.test
    else:
        sides["train"] += new
    named: Any = {side: tuple(sorted(groups)) for side, groups in sides.items()}
    return msgspec.structs.replace(config, split=named)


def check(champion: Champion, dataset: Dataset, config: Config, split: Split) -> tuple[str, ...]:
    """See that both models can be judged alike.

    Args:
        champion: the model to beat.
        dataset: that the challenger is trained on.
        config: of the challenger, completed by `Config.for_dataset`.
        split: of the challenger.

    Returns:
        The groups to judge on: those of the challenger's test side that the champion has not seen either.

    Raises:
        ConfigError: other labels, channels or windows; or no group that neither has seen.
    """
    contract, where = champion.contract, f"{champion.path} cannot be compared with"
    if contract.task != "classification" or dataset.task != "classification":
        raise ConfigError(
            f"{where}: task", expected="classification", found=f"{contract.task}, {dataset.task}"
        )
    pairs = [
        ("labels", contract.output.labels, dataset.labels),
        ("channels", contract.input.names, tuple(channel.name for channel in dataset.channels)),
        ("window", contract.input.window, config.window),
        ("hop", contract.input.hop, config.hop),
    ]
    for name, expected, found in pairs:
        if expected != found:
            remedy = f"take --{name} {expected}" if isinstance(expected, int) else "train on data of one kind"
            raise ConfigError(
                f"{where}: {name}", expected=_words(expected), found=_words(found), remedy=remedy
            )
    judged = tuple(group for group in split.test if group not in champion.seen)
    if not judged:
        raise ConfigError(
            f"{where}: no {split.by} is left to judge by",
            expected=f"test {split.by}s that the champion was not trained on",
            found=f"it was trained on {first_of(split.test)}",
            remedy=f"leave the split to --compare-to, or add recordings of new {split.by}s",
        )
    return judged


def previous(champion: Path) -> Path:
    """Where the old model goes when it is replaced."""
    return champion.with_name(f"{champion.stem}.previous{champion.suffix}")


def promote(challenger: Path, champion: Path, digest: str) -> Path:
    """Put the challenger in the champion's place, and its page and record; the champion is kept beside it.

    Each file is there whole at every moment, and the champion's place is never empty.

    Args:
        challenger: the new .keras file.
        champion: the old one.
        digest: of the old one when both were compared.

    Returns:
        Where the old model is now.

    Raises:
        DeviceError: the file cannot be written, or is another one than was compared with.
    """
    try:
        old, new = champion.read_bytes(), challenger.read_bytes()
    except OSError as error:
        raise DeviceError(f"{champion}: cannot be replaced", found=error.strerror or error) from error
    if digest_of(old) != digest:
        raise DeviceError(
            f"{champion} has changed since it was compared with",
            expected=digest[:19] + "…",
            found=digest_of(old)[:19] + "…",
            remedy=f"compare again; the challenger is {challenger}",
        )
    kept = previous(champion)
    write_atomic(kept, old)
    _accompany(champion, kept)
    write_atomic(champion, new)
    _accompany(challenger, champion)
    return kept


def _accompany(old: Path, new: Path) -> None:
    """What lies beside a model goes along with it, and nothing stays that tells of another."""
    for kind in (companions.RECORD, companions.PAGE, companions.HISTORY, companions.CONFUSION):
        source, place = (companions.path(model, kind) for model in (old, new))
        if source.exists():
            write_atomic(place, source.read_bytes())
        else:
            place.unlink(missing_ok=True)


def _words(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, tuple) else value
