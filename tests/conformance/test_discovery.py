"""Section "Content Discovery": tags, and who refers to a manifest."""

from urllib.parse import urlsplit

import httpx2
import pytest

from tests.conformance.conftest import TAGS, Samples, referrers, tags
from tests.rig.images import OCI_INDEX
from tests.rig.proxy import Client

TAGS_LIST = tags()


def listed(answer: httpx2.Response) -> list[str]:
    assert answer.status_code == 200
    found: list[str] = answer.json()["tags"]
    return found


class TestTags:
    """end-8, "Listing Tags"."""

    def test_all_in_order(self, client: Client) -> None:
        answer = client.get(TAGS_LIST)
        assert listed(answer) == list(TAGS)
        assert answer.headers["Content-Type"].startswith("application/json")
        assert "name" in answer.json()

    @pytest.mark.parametrize("count", [1, 4, 6, 100])
    def test_n(self, client: Client, count: int) -> None:
        answer = client.get(f"{TAGS_LIST}?n={count}")
        assert listed(answer) == list(TAGS[:count])
        assert ("next" in answer.links) == (count < len(TAGS))

    def test_n_of_zero_is_an_empty_list_without_a_link(self, client: Client) -> None:
        answer = client.get(f"{TAGS_LIST}?n=0")
        assert listed(answer) == []
        assert "Link" not in answer.headers

    def test_last_is_left_out(self, client: Client) -> None:
        assert listed(client.get(f"{TAGS_LIST}?last={TAGS[2]}")) == list(TAGS[3:])

    def test_last_need_not_exist(self, client: Client) -> None:
        assert listed(client.get(f"{TAGS_LIST}?last=1.05")) == list(TAGS[1:])

    def test_n_with_last(self, client: Client) -> None:
        assert listed(client.get(f"{TAGS_LIST}?n=2&last={TAGS[0]}")) == list(TAGS[1:3])

    def test_links_lead_through_all(self, client: Client) -> None:
        """And they lead to the proxy, not to the upstream."""
        found: list[str] = []
        path = f"{TAGS_LIST}?n=2"
        for _ in range(len(TAGS)):
            answer = client.get(path)
            found += listed(answer)
            if "next" not in answer.links:
                break
            target = urlsplit(answer.links["next"]["url"])
            assert target.path == TAGS_LIST
            path = f"{target.path}?{target.query}"
        assert found == list(TAGS)

    def test_an_unknown_repository_is_404(self, client: Client) -> None:
        assert client.get(tags("conformance/none")).status_code == 404


class TestReferrers:
    """end-12, "Listing Referrers"."""

    def test_those_of_a_manifest(self, client: Client, samples: Samples) -> None:
        answer = client.get(referrers(samples.image.digest))
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == OCI_INDEX
        index = answer.json()
        assert index["schemaVersion"] == 2
        assert index["mediaType"] == OCI_INDEX
        assert {each["digest"] for each in index["manifests"]} == {samples.signature.digest, samples.bill.digest}

    def test_what_is_told_of_each(self, client: Client, samples: Samples) -> None:
        found = client.get(referrers(samples.image.digest)).json()["manifests"]
        bill = next(each for each in found if each["digest"] == samples.bill.digest)
        assert bill["artifactType"] == "application/vnd.example.sbom"
        assert bill["annotations"] == {"org.example.tool": "rig"}
        assert bill["size"] == samples.bill.manifest.size
        assert bill["mediaType"] == samples.bill.manifest.media_type

    def test_a_filter(self, client: Client, samples: Samples) -> None:
        wanted = "application/vnd.example.signature"
        answer = client.get(f"{referrers(samples.image.digest)}?artifactType={wanted}")
        assert [each["digest"] for each in answer.json()["manifests"]] == [samples.signature.digest]
        assert answer.headers["OCI-Filters-Applied"] == "artifactType"

    def test_a_filter_that_nothing_passes(self, client: Client, samples: Samples) -> None:
        answer = client.get(f"{referrers(samples.image.digest)}?artifactType=application/none")
        assert answer.status_code == 200
        assert answer.json()["manifests"] == []
        assert answer.headers["OCI-Filters-Applied"] == "artifactType"

    def test_none(self, client: Client, samples: Samples) -> None:
        """Never 404, not even for a manifest that does not exist: an empty index."""
        for digest in (samples.docker.digest, "sha256:" + "0" * 64):
            answer = client.get(referrers(digest))
            assert answer.status_code == 200
            assert answer.headers["Content-Type"] == OCI_INDEX
            assert answer.json()["manifests"] == []

    @pytest.mark.parametrize("digest", ["sha256:totally-wrong", "latest", "sha256:abc"])
    def test_a_bad_digest_is_400(self, client: Client, digest: str) -> None:
        assert client.get(referrers(digest)).status_code == 400
