"""The door to torchmetrics: the statistics of a real and a generated side as the states of one metric.

torchmetrics knows states that are summed or concatenated; these are merged and reduced by their statistic instead, so
``_wrap_update``, ``_wrap_compute``, ``_sync_dist``, ``_reduce_states``, ``_load_from_state_dict`` and ``_apply`` are
overridden here, and nowhere else.
"""

from __future__ import annotations

import hashlib
from functools import wraps
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torchmetrics import Metric

from streaming_metrics.core.evaluate import COUNT, reduce_side
from streaming_metrics.core.identity import Identity, meet, named_ranks
from streaming_metrics.core.pairs import RealCache
from streaming_metrics.distributed.comm import DEFAULT_TIMEOUT, Comm, name_of
from streaming_metrics.extractors.base import device_after
from streaming_metrics.files.tensors import digest_of
from streaming_metrics.measures.base import Roles, Side
from streaming_metrics.plots import plot_values
from streaming_metrics.statistics import State, Statistic, state_device
from streaming_metrics.statistics.base import check_states

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from streaming_metrics.features import Features
    from streaming_metrics.pairwise import Role

ROLES: Roles[Role] = Roles("real", "fake")
NOT_FROZEN = [0, 0, 1]


def _aside(method: Callable[..., Any]) -> Callable[..., Any]:
    """Run a method that makes or changes states without gradients, and so that no state is an inference tensor."""

    @wraps(method)
    def run(*args: Any, **kwargs: Any) -> Any:
        with torch.inference_mode(False), torch.no_grad():
            return method(*args, **kwargs)

    return run


class TwoSidedMetric(Metric):
    """A torchmetrics metric whose states are statistics of two roles; subclasses say what to compute of them.

    Args:
        statistics: what is kept of each role.
        fingerprint: of the features; it is part of the states' names, so that states of different extractors never
            meet.
        configuration: what is computed, and of which features, in words.
        name: tells the metric from others of its configuration where ranks meet; None names it by the lines of code
            that make it.
        timeout: seconds that collective calls wait for the other ranks.
        sync_on_compute: False keeps to this rank alone.
        kwargs: torchmetrics' ``process_group`` and ``distributed_available_fn``.
    """

    full_state_update = False
    is_differentiable = False

    def __init__(
        self,
        statistics: Roles[tuple[Statistic, ...]],
        fingerprint: str,
        *,
        configuration: str = "",
        name: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        sync_on_compute: bool = True,
        **kwargs: Any,
    ) -> None:
        for refused in ("dist_sync_fn", "dist_sync_on_step", "compute_on_cpu"):
            if kwargs.pop(refused, None):
                raise ValueError(
                    f"{refused} is not supported: compute() reduces the states itself. Remedy: leave it out."
                )
        if not isinstance(sync_on_compute, bool):
            raise ValueError(f"Expected keyword argument `sync_on_compute` to be a `bool` but got {sync_on_compute}.")
        kwargs.pop("compute_with_cache", None)
        super().__init__(sync_on_compute=False, compute_with_cache=False, **kwargs)
        self._timeout, self._together = timeout, sync_on_compute
        self._digest = hashlib.sha256(fingerprint.encode()).hexdigest()[:8]
        self._statistics, self.fingerprint, self._configuration = statistics, fingerprint, configuration
        self._frozen = f"real_frozen_{self._digest}"
        self._torn = Roles(*(f"{role}_torn_{self._digest}" for role in ROLES))
        self._memo, self._frozen_digest = RealCache(), ""
        group = name_of(self.process_group) if sync_on_compute else "none"
        self._identity = Identity(f"{configuration} of {fingerprint}", group, name)
        with torch.inference_mode(False):
            for role in ROLES:
                for statistic, state in self._empty(role).items():
                    for key, empty in state.items():
                        self._declare(self._name(role, statistic, key), empty)
            self._declare(self._frozen, torch.tensor(NOT_FROZEN, device="cpu"))
            for torn in self._torn:
                self._declare(torn, torch.tensor(0, device="cpu"))

    @property
    def is_frozen(self) -> bool:
        """Whether the real side is an immutable reference."""
        return bool(getattr(self, self._frozen)[0])

    @property
    def update_called(self) -> bool:
        """Whether there are samples: updated, merged or loaded."""
        return any(self.num_samples(role) for role in ROLES)

    def num_samples(self, role: Role) -> int:
        """Return how many samples of ``role`` this rank holds."""
        return int(self._states(role)[COUNT]["n"])

    @_aside
    def freeze_real(self) -> None:
        """Make the real side an immutable reference: reduced once, kept by ``reset``, in ``state_dict``; collective.

        Features in a bank stay on the ranks that they came to.

        Raises:
            NotEnoughSamples: where no rank holds a real sample.
            RuntimeError: where an interrupted update has left the real side torn.
        """
        comm = self._gather_ranks("freeze_real()", ("real",))
        if self.is_frozen:
            return
        side = self._side("real", comm)
        side.require(1, "freeze_real()")
        self._freeze(side.states, comm.rank, comm.world_size)
        if comm.world_size > 1:
            self._frozen_digest = self._digest_over(comm)

    @_aside
    def reset(self) -> None:
        """Forget all samples; a frozen real side stays, unless it is torn."""
        forgotten: dict[Role, Any] = {
            r: self._empty(r) for r in ROLES if self._is_torn(r) or not self._outlives_reset(r)
        }
        if "real" in forgotten and self.is_frozen:
            self._tear("real", True)
            self._set_frozen(NOT_FROZEN)
        self._set_sides(forgotten)
        self._update_count, self._forward_cache, self._computed = 0, None, None
        self._cache, self._is_synced = None, False

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Draw a result of ``compute`` or ``forward``, or a list of them; None computes.

        Returns:
            The figure and the axes; an array of axes, where measures of several scales are drawn.
        """
        return plot_values(self._rows_of(self.compute() if val is None else val), ax)

    def state_dict(self, destination: Any = None, prefix: str = "", keep_vars: bool = False) -> dict[str, Any]:
        """Return the persistent states, without the spare room of their storage; see ``Metric.persistent``."""
        saved = super(Metric, self).state_dict(destination=destination, prefix=prefix, keep_vars=keep_vars)
        saved.update({prefix + name: getattr(self, name).clone() for name, kept in self._persistent.items() if kept})
        return saved

    # What subclasses use.

    @property
    def _frozen_parts(self) -> int:
        """Over how many ranks the frozen real side is spread; 1 where it is whole here."""
        return int(getattr(self, self._frozen)[2])

    def _states(self, role: Role) -> dict[Statistic, State]:
        return {
            statistic: {key: getattr(self, self._name(role, statistic, key)) for key in statistic.empty("meta")}
            for statistic in getattr(self._statistics, role)
        }

    def _set_states(self, role: Role, states: Mapping[Statistic, State], *, torn: bool = False) -> None:
        """Write a role's states; it is torn until the last is written, and after that where ``torn``."""
        self._tear(role, True)
        for statistic, state in states.items():
            for key, tensor in state.items():
                setattr(self, self._name(role, statistic, key), tensor)
        self._tear(role, torn)

    def _set_sides(self, sides: Mapping[Role, Mapping[Statistic, State]]) -> None:
        """Write several roles' states, all or none: each is torn until all of its own are written."""
        for role in sides:
            self._tear(role, True)
        for role, states in sides.items():
            self._set_states(role, states)

    def _tear(self, role: Role, torn: bool) -> None:
        setattr(self, self._torn[ROLES.index(role)], torch.tensor(int(torn), device="cpu"))

    def _is_torn(self, role: Role) -> bool:
        return bool(getattr(self, self._torn[ROLES.index(role)]))

    def _check_whole(self, call: str, roles: Sequence[Role] = ROLES) -> None:
        """Raise RuntimeError where an interrupted update has left one of ``roles`` torn."""
        _refuse_torn(call, [[role for role in roles if self._is_torn(role)]])

    def _add(self, role: Role, features: Features) -> None:
        """Add features to a role, all or none: what can fail comes first, and what is interrupted amid the writing is
        torn.
        """
        writes = {s: s.staged(state, features) for s, state in self._states(role).items()}
        self._tear(role, True)
        self._set_states(role, {s: write() for s, write in writes.items()})

    def _outlives_reset(self, role: Role) -> bool:
        return role == "real" and self.is_frozen

    def _empty(self, role: Role) -> dict[Statistic, State]:
        device = state_device(self.device)
        return {statistic: statistic.empty(device) for statistic in getattr(self._statistics, role)}

    def _comm(self) -> Comm:
        available = self.distributed_available_fn is None or self.distributed_available_fn()
        if self._is_synced or not self._together or not available:
            return Comm.single()
        return Comm(self.process_group, self._timeout)

    def _rows_of(self, values: Any) -> Any:
        """Return what ``compute`` returned, or a list of that, as scalars by key."""
        return values

    def _gather_ranks(self, call: str = "compute()", roles: Sequence[Role] = ROLES, comm: Comm | None = None) -> Comm:
        """Return the ranks once all are here, about the same metric, with the same real side, and ``roles`` whole."""
        comm = comm or self._comm()
        _, rank, parts = getattr(self, self._frozen).tolist()
        misplaced = parts > 1 and not self._is_synced and (rank, parts) != (comm.rank, comm.world_size)
        said = [{"misplaced": misplaced, "torn": [role for role in roles if self._is_torn(role)]}]
        if comm.world_size != 1:
            same = {"measures": self._configuration, "extractor": self.fingerprint, "real side": self._real_in_words()}
            said = meet(comm, call, same | said[0], self._identity)
        if any(one["misplaced"] for one in said):
            raise RuntimeError(
                f"The frozen real side was saved as {parts} parts, one a rank, and this is not the rank that it "
                "came from. Remedy: save_reference() on all ranks, then reference=, which any number of ranks can read."
            )
        _refuse_torn(call, [one["torn"] for one in said])
        return comm

    def _real_in_words(self) -> str:
        """Return what a meeting says of the real side; of one that was loaded as parts, no rank knows the whole."""
        if not self.is_frozen:
            return "not frozen"
        if not self._frozen_digest and self._frozen_parts == 1:
            self._frozen_digest = self._digest_of_real(self.metric_state)
        return f"frozen {self._frozen_digest or f'in {self._frozen_parts} parts'}"

    def _digest_over(self, comm: Comm) -> str:
        """Return a digest of the frozen real side that is the same on every rank; collective."""
        digest = torch.tensor(int(self._digest_of_real(self.metric_state), 16), device="cpu")
        whole = comm.broadcast(digest) if self._frozen_parts == 1 else comm.sum(digest)
        return f"{whole.item():012x}"

    def _side(self, role: Role, comm: Comm) -> Side:
        """Return a role over all ranks; collective unless frozen."""
        states = self._states(role)
        if role == "fake" or not self.is_frozen:
            return reduce_side(role, states, comm)
        num_samples = self.num_samples(role)
        if self._frozen_parts == 1:
            states = {s: s.share(state, comm.rank, comm.world_size) for s, state in states.items()}
        return Side(role, num_samples, states)

    def _freeze(self, states: Mapping[Statistic, State], rank: int, world_size: int) -> None:
        parts = world_size if any(statistic.is_sharded for statistic in states) else 1
        self._tear("real", True)
        self._set_frozen([1, rank if parts > 1 else 0, parts])
        self._set_states("real", states)

    def _set_frozen(self, flag: Sequence[int]) -> None:
        self._memo, self._frozen_digest = RealCache(), ""
        setattr(self, self._frozen, torch.tensor(flag, device="cpu"))
        if self.is_frozen:
            kept = {self._name("real", s, key) for s, state in self._states("real").items() for key in state}
            self._persistent.update(dict.fromkeys({*kept, self._frozen, self._torn.real}, True))

    # How torchmetrics is told.

    def _name(self, role: Role, statistic: Statistic, key: str) -> str:
        return f"{role}_{statistic.name}_{key}_{self._digest}"

    def _optional_names(self) -> set[str]:
        return {
            self._name(role, statistic, key)
            for role in ROLES
            for statistic in getattr(self._statistics, role)
            if statistic.is_optional
            for key in statistic.empty("meta")
        }

    def _declare(self, name: str, empty: Tensor) -> None:
        self.add_state(name, empty, dist_reduce_fx=None)
        self._defaults[name] = _of_one_number(empty)  # reset() makes its own; wrappers of torchmetrics copy this one

    def _wrap_update(self, update: Callable[..., None]) -> Callable[..., None]:
        @wraps(update)
        def counted(*args: Any, **kwargs: Any) -> None:
            with self._identity.noting_failures():
                _aside(update)(*args, **kwargs)
            self._update_count += 1

        return counted

    def _wrap_compute(self, compute: Callable[[], Any]) -> Callable[[], Any]:
        return _aside(compute)

    @_aside
    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = "") -> TwoSidedMetric:  # noqa: ARG002
        """Follow ``fn`` to another device; float64 sums stay float64 whatever it casts to."""
        self._device = device_after(fn, self.device)
        for role in ROLES:
            moved = {s: s.move(state, state_device(self._device)) for s, state in self._states(role).items()}
            self._set_states(role, moved, torn=self._is_torn(role))
        self._memo = RealCache(
            reduced={key: result.to(state_device(self._device)) for key, result in self._memo.reduced.items()}
        )
        return self

    @_aside
    def _sync_dist(self, dist_sync_fn: Any = None, process_group: Any = None) -> None:  # noqa: ARG002
        """Make this rank's states those of all ranks, whole: for ``sync()``; ``compute`` needs less."""
        comm = self._gather_ranks("sync()", comm=Comm(process_group or self.process_group, self._timeout))
        whole: dict[Role, Any] = {role: self._replicated(role, comm) for role in ROLES}
        self._set_sides(whole)

    def _replicated(self, role: Role, comm: Comm) -> dict[Statistic, State]:
        frozen = role == "real" and self.is_frozen
        whole = frozen and self._frozen_parts == 1
        return {
            s: state if whole or (frozen and not s.is_sharded) else s.replicate(state, comm)
            for s, state in self._states(role).items()
        }

    @_aside
    def _reduce_states(self, incoming_state: dict[str, Any]) -> None:
        """Merge another metric's states into these: for ``merge_state``."""
        if self._is_synced:
            raise RuntimeError("The states are synced: what is merged now would be lost. Remedy: unsync() first.")
        self._check_whole("merge_state()")
        self._check_incoming(incoming_state)
        merged: dict[Role, Any] = {
            role: {s: s.merge([state, self._read(incoming_state, role, s)]) for s, state in self._states(role).items()}
            for role in ROLES
            if role == "fake" or not self.is_frozen
        }
        self._set_sides(merged)

    def _check_incoming(self, incoming: Mapping[str, Any]) -> None:
        _refuse_torn("merge_state()", [[role for role in ROLES if self._is_torn_in(incoming, role)]])
        missing = sorted(set(self._defaults) - set(incoming) - set(self._torn) - self._optional_names())
        if missing:
            raise ValueError(
                f"merge_state: expected the states of a metric with the same measures and extractor; missing "
                f"{missing[0]!r}, got {sorted(incoming)[:3]}…."
            )
        _check_frozen(incoming[self._frozen])
        for role in ROLES:
            self._check_role(
                role, {s: self._read(incoming, role, s) for s in getattr(self._statistics, role)}, incoming
            )
        if not incoming[self._frozen][0] and not any(self._read(incoming, r, COUNT)["n"] for r in ROLES):
            return  # it adds nothing
        same = bool(incoming[self._frozen][0]) == self.is_frozen
        if not same or (self.is_frozen and self._digest_of_real(incoming) != self._digest_of_real(self.metric_state)):
            raise ValueError(
                "merge_state: expected both metrics to have the same frozen real side, or neither to be frozen. "
                "Remedy: build both with the same reference=, or freeze after merging."
            )

    def _is_torn_in(self, saved: Mapping[str, Any], role: Role) -> bool:
        """Return whether saved states say that a role is torn; those of before there were torn ones say nothing."""
        name = self._torn[ROLES.index(role)]
        mark = saved.get(name, torch.tensor(0, device="cpu"))
        if not (isinstance(mark, Tensor) and mark.dtype == torch.int64 and mark.shape == () and int(mark) in (0, 1)):
            raise ValueError(f"State {name}: expected int64 (), 0 or 1, got {mark!r}.")
        return bool(mark)

    def _check_role(self, role: Role, states: Mapping[Statistic, State], beside: Mapping[str, Any]) -> None:
        """Raise ValueError unless a role's states are of the same samples; ``beside`` says whether they are frozen."""
        COUNT.check(states[COUNT])
        parts = int(beside.get(self._frozen, getattr(self, self._frozen))[2])
        check_states(states, int(states[COUNT]["n"]), is_part=role == "real" and parts > 1)

    def _read(self, states: Mapping[str, Any], role: Role, statistic: Statistic) -> State:
        names = {key: self._name(role, statistic, key) for key in statistic.empty("meta")}
        absent = sorted(set(names.values()) - states.keys())
        if statistic.is_optional and len(absent) == len(names):
            return statistic.empty(state_device(self.device))
        if absent:
            raise ValueError(f"State {absent[0]}: expected a tensor, got none.")
        read = {key: states[name] for key, name in names.items()}
        for key, tensor in read.items():
            if not isinstance(tensor, Tensor):
                raise ValueError(f"State {statistic.name}.{key}: expected a tensor, got {type(tensor).__name__}.")
        return statistic.move(read, state_device(self.device))

    def _digest_of_real(self, states: Mapping[str, Any]) -> str:
        """Return 48 bits of a digest of the real side's tensors and of the statistics that count against it."""
        kept = [s for s in self._statistics.real if not s.is_optional]
        names = [self._name("real", s, key) for s in kept for key in s.empty("meta")]
        fake = sorted(s.name for s in self._statistics.fake if not s.is_optional)
        return digest_of({"fake": fake}, {name: states[name].cpu() for name in names})[:12]

    @_aside
    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any) -> None:
        """Load a role's states all together or not at all."""
        error_msgs: list[str] = args[-1] if args else kwargs["error_msgs"]
        own = {name: state_dict.pop(prefix + name) for name in self._defaults if prefix + name in state_dict}
        super(Metric, self)._load_from_state_dict(state_dict, prefix, *args, **kwargs)
        try:
            _check_frozen(own.get(self._frozen, getattr(self, self._frozen)))
            torn = {role: self._is_torn_in(own, role) for role in ROLES}
            loaded: dict[Role, Any] = {role: self._checked(own, role) for role in ROLES}
        except ValueError as error:
            error_msgs.append(f"While loading {type(self).__name__}: {error}")
            return
        loaded = {role: states for role, states in loaded.items() if states}
        for role in loaded:
            self._tear(role, True)
        if self._frozen in own:
            self._set_frozen(own[self._frozen].tolist())
        for role, states in loaded.items():
            self._set_states(role, states, torn=torn[role])

    def _checked(self, saved: Mapping[str, Tensor], role: Role) -> dict[Statistic, State]:
        if not any(name.startswith(f"{role}_") and name not in {self._frozen, *self._torn} for name in saved):
            return {}
        states = {statistic: self._read(saved, role, statistic) for statistic in getattr(self._statistics, role)}
        self._check_role(role, states, saved)
        return {s: {key: tensor.clone() for key, tensor in state.items()} for s, state in states.items()}

    def __getstate__(self) -> dict[str, Any]:
        for name in self._defaults:  # without the spare room; kept, since a process that is spawned reads it later
            setattr(self, name, getattr(self, name).clone())
        return super().__getstate__() | {"_memo": RealCache()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "_identity" not in state:
            raise ValueError(
                "Expected a metric pickled by this version, got one of an earlier version. Remedy: state_dict(), "
                "save_state() and save_reference() there, which every later version reads."
            )
        super().__setstate__(state)


def _of_one_number(constant: Tensor) -> Tensor:
    """Return a tensor of the same values that takes no room, where all are the same."""
    if constant.numel() and bool((constant == constant.flatten()[0]).all()):
        return constant.flatten()[:1].clone().expand(constant.numel()).view(constant.shape)
    return constant.clone()


def _refuse_torn(call: str, torn: Sequence[Sequence[Role]]) -> None:
    """Raise RuntimeError where some rank, of all that ``torn`` lists, has torn roles."""
    ranks = [rank for rank, roles in enumerate(torn) if roles]
    if ranks:
        sides = " and ".join(sorted({role for roles in torn for role in roles}))
        where = f" on {named_ranks(ranks)}" if len(torn) > 1 else ""
        raise RuntimeError(
            f"{call}: expected whole sides, got a torn {sides} side{where}: an update was interrupted amid its writing "
            "(Ctrl-C, no memory). Remedy: reset() or load_state_dict(), and give its images again."
        )


def _check_frozen(flag: Any) -> None:
    """Raise ValueError unless ``flag`` is int64 ``(is frozen, rank, parts)``."""
    if isinstance(flag, Tensor) and flag.dtype == torch.int64 and flag.shape == (3,):
        frozen, rank, parts = flag.tolist()
        if frozen in (0, 1) and 0 <= rank < parts:
            return
    raise ValueError(f"State real_frozen: expected int64 (0 or 1, rank, parts), got {flag!r}.")
