"""The contract that every store of a registry keeps, as tests.

A store's tests subclass :class:`RegistryStoreContract` and provide a fixture ``home``.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.contract.access import AccessContract
from tests.contract.deciding import DecisionContract
from tests.contract.grains import GrainContract
from tests.contract.homes import Home
from tests.contract.leases import LeaseContract
from tests.contract.locking import LockingContract
from tests.contract.many import ManyContract
from tests.contract.moments import MomentContract
from tests.contract.pruning import PruningContract
from tests.contract.pruning_machine import PruningMachine
from tests.contract.reading import ReadingContract, RefusalContract
from tests.contract.registering import RegisteringContract
from tests.contract.releasing import ReleasingContract
from tests.contract.viewing import ViewingContract


class RegistryStoreContract(
    RegisteringContract,
    AccessContract,
    LockingContract,
    LeaseContract,
    DecisionContract,
    ManyContract,
    ReleasingContract,
    ReadingContract,
    ViewingContract,
    GrainContract,
    MomentContract,
    PruningContract,
    RefusalContract,
):
    """Uses the public contract only, and a clock that the fixture controls."""

    def test_every_history_agrees_with_the_oracle(self, home: Home) -> None:
        few = settings(max_examples=max(1, settings().max_examples // 4))
        run_state_machine_as_test(lambda: PruningMachine(home), settings=few)  # type: ignore[arg-type]
