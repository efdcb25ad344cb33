"""What every source of identity must do. A source's test derives from :class:`SourceConformance` and names a case."""

import asyncio
from dataclasses import dataclass

import pytest

from proxy_core.access.gate import Gate
from proxy_core.access.grants import Grant
from proxy_core.access.identity import Credential, Identity, IdentitySource, Refusal
from proxy_core.access.pull_tokens import PullTokens
from proxy_core.errors import Unauthorized
from proxy_core.reference import Image, hub_repository
from proxy_core.settings import Role
from tests.access.house import EXTERNAL_URL, KEY, NOW, settings

TOKENS = PullTokens(KEY, issuer=EXTERNAL_URL, lifetime=900)


@dataclass(frozen=True)
class Case:
    """A source, with somebody whom it knows."""

    source: IdentitySource
    credential: Credential
    group: str  # where the credential's holder has a role of his own; it is served and switched on
    foreign: str  # where he has none
    wrong: Credential  # of a holder whom the source knows, but not right
    unknown: Credential  # of nobody
    afterwards: IdentitySource  # the source when the holder is gone, or his credential was revoked


class SourceConformance:
    @pytest.fixture
    def case(self) -> Case:
        raise NotImplementedError

    async def identity(self, case: Case, *groups: str) -> Identity:
        answer = await case.source.authenticate(case.credential, groups, NOW)
        assert isinstance(answer, Identity)
        return answer

    async def grant(self, case: Case) -> Grant:
        """The way a grant comes about: through a signed token."""
        image = Image(case.group, hub_repository("alpine"))
        token = TOKENS.give(await self.identity(case, case.group), [image], NOW)
        grant = TOKENS.verify(token.text, NOW)
        assert isinstance(grant, Grant)
        return grant

    async def test_knows_the_holder_and_says_which_source_it_is(self, case: Case) -> None:
        identity = await self.identity(case, case.group)
        assert identity.source == case.source.name != ""
        assert identity.subject != ""
        assert identity.expires_at is None or identity.expires_at > NOW

    async def test_names_the_roles_of_the_groups_asked_about_and_no_others(self, case: Case) -> None:
        assert await self.identity(case) == await self.identity(case, case.foreign)
        assert (await self.identity(case)).roles == {}
        roles = (await self.identity(case, case.group, case.foreign)).roles
        assert set(roles) == {case.group}
        assert roles[case.group] >= Role.GUEST

    async def test_a_role_holds_in_subgroups_and_not_above_or_beside(self, case: Case) -> None:
        below, beside = f"{case.group}/a/b", f"{case.group}x"
        assert set((await self.identity(case, below, beside)).roles) == {below}

    async def test_a_wrong_credential_is_refused(self, case: Case) -> None:
        assert isinstance(await case.source.authenticate(case.wrong, [case.group], NOW), Refusal)

    async def test_a_credential_of_nobody_is_refused_and_left_to_other_sources(self, case: Case) -> None:
        answer = await case.source.authenticate(case.unknown, [case.group], NOW)
        assert isinstance(answer, Refusal)
        assert not answer.final

    async def test_right_again_after_it_was_right_and_wrong_again_after_that(self, case: Case) -> None:
        for _ in range(2):
            await self.identity(case, case.group)
            assert isinstance(await case.source.authenticate(case.wrong, [case.group], NOW), Refusal)

    async def test_says_nothing_of_the_secret(self, case: Case) -> None:
        shown = repr(await self.identity(case, case.group)) + repr(await self.grant(case))
        for credential in (case.wrong, case.unknown):
            shown += repr(await case.source.authenticate(credential, [case.group], NOW))
        for credential in (case.credential, case.wrong, case.unknown):
            assert credential.password not in shown

    @pytest.mark.parametrize(
        "credential",
        [
            Credential("", ""),
            Credential("\0", "\0"),
            Credential("n" * 12_000, "short"),
            Credential("dev", "p" * 12_000),
            Credential("../..", "é\u202e🐳"),
            Credential("a:b", "%s{}"),
        ],
        ids=["empty", "NUL", "long name", "long password", "not ASCII", "colon"],
    )
    async def test_an_odd_credential_is_refused_without_an_error(self, case: Case, credential: Credential) -> None:
        assert isinstance(await case.source.authenticate(credential, [case.group], NOW), Refusal)

    async def test_answers_many_at_once(self, case: Case) -> None:
        credentials = [case.credential, case.wrong] * 20
        answers = await asyncio.gather(
            *(case.source.authenticate(credential, [case.group], NOW) for credential in credentials)
        )
        assert [isinstance(answer, Identity) for answer in answers] == [True, False] * 20

    async def test_a_token_given_earlier_still_counts(self, case: Case) -> None:
        grant = await self.grant(case)
        assert case.source.objection(grant) is None
        assert case.source.role(grant, case.group) is not None
        assert case.source.role(grant, case.foreign) is None

    async def test_no_token_of_a_holder_who_is_gone_counts(self, case: Case) -> None:
        objection = case.afterwards.objection(await self.grant(case))
        assert objection is not None
        assert objection.reason

    async def test_the_gate_admits_the_holder_and_then_no_longer(self, case: Case) -> None:
        image = Image(case.group, hub_repository("alpine"))
        token = TOKENS.give(await self.identity(case, case.group), [image], NOW)
        authorization = f"Bearer {token.text}".encode()
        Gate([case.source], TOKENS, settings()).admit(authorization, image, wire_name="x", now=NOW)
        with pytest.raises(Unauthorized):
            Gate([case.afterwards], TOKENS, settings()).admit(authorization, image, wire_name="x", now=NOW)
