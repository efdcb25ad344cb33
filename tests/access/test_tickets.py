import pytest

from proxy_core.access.identity import Credential
from tests.access.conformance import Case, SourceConformance
from tests.access.house import NOW
from tests.access.tickets import Ticket, Tickets

SECRET, OTHER = "s3cr3t-of-ann", "s3cr3t-of-bob"


class TestASourceThatKnowsRolesOnlyByTheCredential(SourceConformance):
    @pytest.fixture
    def case(self) -> Case:
        sold = {
            SECRET: Ticket("1", "ann", frozenset({"my-group"}), NOW + 60),
            OTHER: Ticket("2", "bob", frozenset({"my-group"}), NOW + 60),
        }
        return Case(
            source=Tickets(sold),
            credential=Credential("ann", SECRET),
            group="my-group",
            foreign="secret",
            wrong=Credential("ann", OTHER),
            unknown=Credential("eve", "nothing-sold"),
            afterwards=Tickets(sold, torn={"1"}),
        )
