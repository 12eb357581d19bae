"""The Search transaction (PS3.18 10.6): candidates of the store, matched, paged, rendered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from dicomweb_core.rules.entities import attributes_of
from dicomweb_core.rules.matching import matches
from dicomweb_core.rules.negotiation import Accept, choose
from dicomweb_core.rules.query_parameters import REMAINING
from dicomweb_core.rules.result_attributes import result
from dicomweb_core.services.answers import multipart_answer, single_answer
from dicomweb_core.services.parts import Part
from dicomweb_core.services.retrieve import JSON, METADATA_OFFERS, XML
from dicomweb_core.services.scopes import Scope
from dicomweb_core.services.site import Site
from dicomweb_core.services.texts import TextForm
from dicomweb_core.values.candidates import Candidate
from dicomweb_core.values.messages import Body, Response
from dicomweb_core.values.queries import Query


class Page(NamedTuple):
    """One answer to a query: results as DICOM JSON texts, and how many matches follow behind them."""

    results: list[bytes]
    remaining: int


def search(site: Site, query: Query, accept: Accept, base_url: str, scope: Scope) -> Response:
    """A page of results. Raises NotAcceptable."""
    offer = choose(accept, METADATA_OFFERS)
    page = find(site, query, base_url, scope)
    warnings = [f"299 {base_url}: {text}" for text in query.warnings]
    if page.remaining:
        warnings.append(f"299 {base_url}: {REMAINING.format(remaining=page.remaining)}")
    headers = tuple(("Warning", text) for text in warnings)
    if not page.results and site.status_of_no_match == 204:
        return Response(204, headers)
    form = TextForm.of(accept, offer)
    if offer.item == JSON:
        return single_answer(b"[" + b",".join(map(form.json, page.results)) + b"]", form.media_type, headers=headers)
    parts = [Part.of(form.xml(text), form.media_type) for text in page.results]
    answer = multipart_answer(parts, XML, headers=headers)
    return replace(answer, body=Body.of(answer.body.read()))


def find(site: Site, query: Query, base_url: str, scope: Scope) -> Page:
    """The results of a query between its offset and its limit, in the order of the store.

    A page ends early where `Limits` ends it; what follows is counted in `remaining`.
    """
    query = replace(query, keys=query.keys + scope.keys)
    candidates = site.instances.candidates(query)
    limit = site.limits.search_results if query.limit is None else min(query.limit, site.limits.search_results)
    if candidates.exact:
        total = len(candidates)
        results = _render(site, query, candidates.page(query.offset, limit), base_url) if limit else []
        return Page(results, max(0, total - query.offset - len(results)))
    page: list[bytes] = []
    size = matched = 0
    room = True
    for candidate in candidates:
        if not matches(query.keys, attributes_of(candidate)):
            continue
        matched += 1
        if matched > query.offset and len(page) < limit and room:
            text = result(query, candidate, retrieve_url(candidate, base_url))
            page.append(text)
            size += len(text)
            room = size < site.limits.search_bytes
    return Page(page, max(0, matched - query.offset - len(page)))


def _render(site: Site, query: Query, candidates: Iterator[Candidate], base_url: str) -> list[bytes]:
    results: list[bytes] = []
    size = 0
    for candidate in candidates:
        text = result(query, candidate, retrieve_url(candidate, base_url))
        results.append(text)
        size += len(text)
        if size >= site.limits.search_bytes:
            break
    return results


def retrieve_url(candidate: Candidate, base_url: str) -> str:
    """Where the entity found can be retrieved."""
    entity = candidate.instance or candidate.series or candidate.study
    return f"{base_url}/{entity.ref.path}"
