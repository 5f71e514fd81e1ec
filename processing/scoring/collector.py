"""What all accumulators of scores share: records by item, shards merged exactly, states."""

from collections.abc import Iterable, Mapping


class Collector:
    """Records by the name of their item; distributed evaluation shards the items.

    A subclass appends records, scores them as a whole in `summarize`, says in `_settings` what two
    shards have to agree in, and in `state` and `_restored` how it travels between processes.
    """

    #: What an item is called in errors.
    item = "item"

    def __init__(self):
        self._records: dict[str, object] = {}

    def __len__(self) -> int:
        return len(self._records)

    def merge(self, other):
        """Add the items of another shard to this one, and return this one.

        Raises
        ------
        ValueError
            The other has other settings (they are named), or shares an item with this one.
        """
        mine, theirs = self._settings(), other._settings()
        if mine != theirs:
            raise ValueError(
                f"cannot merge scores of different settings: {mine} and {theirs}; score both in "
                "the same way"
            )
        if other._records:
            self._check_ids(list(other._records))
            self._add(other._records)
        return self

    @classmethod
    def from_state(cls, *states: dict):
        """Rebuild from what `state` gave; several states (one per process) are merged.

        Raises
        ------
        ValueError
            No state; what `merge` refuses.
        """
        if not states:
            raise ValueError(f"no state given: pass at least one, as {cls.__name__}.state() gives")
        whole, *shards = [cls._restored(state) for state in states]
        for shard in shards:
            whole.merge(shard)
        return whole

    def _settings(self) -> dict:
        """What two shards have to agree in."""
        return {}

    @classmethod
    def _restored(cls, state: dict):
        """A collector of one state."""
        raise NotImplementedError

    def _add(self, records: Mapping[str, object]) -> None:
        """Add records whose ids were checked."""
        self._records.update(records)

    def _check_ids(self, ids: Iterable[str]) -> list[str]:
        """The ids as a list; refused where one is no name, occurs twice or was scored before."""
        ids, item = list(ids), self.item
        if not ids:
            raise ValueError(f"an empty batch: append at least one {item}")
        seen: set[str] = set()
        for name in ids:
            if not isinstance(name, str) or not name:
                raise ValueError(f"ids must be non-empty strings, one per {item}: got {name!r}")
            if name in seen or name in self._records:
                raise ValueError(
                    f"{item} {name!r} is scored twice: every {item} counts once; a sampler that "
                    "pads shards with repeated items must drop the repeats before scoring"
                )
            seen.add(name)
        return ids
