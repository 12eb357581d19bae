"""The style of HTML documents, and the policy that permits it and nothing else (W3C CSP 3)."""

from __future__ import annotations

import base64
import hashlib
from typing import Final

STYLE: Final = """
:root { color-scheme: light dark; --quiet: #595959; --rule: #c8c8c8; --shade: #f3f4f6; --link: #0b57a4; }
@media (prefers-color-scheme: dark) { :root { --quiet: #a8a8a8; --rule: #4a4a4a; --shade: #23262b; --link: #8ab8f0; } }
* { box-sizing: border-box; }
body { max-width: 60rem; margin: 0 auto; padding: 1rem; font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1, h2, h3, h4, h5, h6 { line-height: 1.25; margin: 1.2em 0 .4em; }
h1 { font-size: 1.6rem; margin-top: 0; } h2 { font-size: 1.25rem; } h3 { font-size: 1.1rem; }
h4, h5, h6 { font-size: 1rem; }
header { display: flex; flex-wrap: wrap; gap: 0 2rem; border-bottom: 2px solid var(--rule); padding-bottom: 1rem; }
header > h1 { flex: 1 0 100%; }
header > section { flex: 1 1 18rem; }
header h2 { font-size: 1rem; margin: .6rem 0 .2rem; }
dl { margin: 0; }
dl > div { display: grid; grid-template-columns: minmax(8rem, 14rem) 1fr; gap: 0 1rem; padding: .15rem 0; }
header > section:nth-of-type(n + 3) { flex-basis: 100%; }
header dl > div { grid-template-columns: 9rem 1fr; }
dt { color: var(--quiet); }
dd { margin: 0; }
dd dl { margin-top: .2rem; padding-left: .8rem; border-left: 2px solid var(--rule); }
dd dl > div { grid-template-columns: minmax(6rem, 11rem) 1fr; }
main section section { padding-left: 1rem; border-left: 2px solid var(--rule); }
main > section > section { padding-left: 0; border-left: 0; }
.prose { white-space: pre-wrap; } .number { font-variant-numeric: tabular-nums; font-weight: 600; }
.note, .relationship { color: var(--quiet); font-size: .85em; } .relationship { display: block; }
.continuous > dl, .continuous > dl > div, .continuous > dl > div > dd { display: inline; }
dl > .picture { display: inline-block; }
.continuous > dl > div > dt, .picture > dt { position: absolute; width: 1px; height: 1px; overflow: hidden; }
.continuous > dl > div > dt, .picture > dt { clip-path: inset(50%); }
a { color: var(--link); } figure { display: inline-block; margin: .2rem 1rem .2rem 0; vertical-align: top; }
figure img { display: block; min-width: 4rem; min-height: 4rem; max-width: 10rem; max-height: 10rem; }
figure img { background: var(--shade); }
table { border-collapse: collapse; margin: .3rem 0; }
th, td { border: 1px solid var(--rule); padding: .15rem .5rem; }
th { background: var(--shade); text-align: left; }
:target { outline: 2px solid var(--link); outline-offset: 2px; }
@media print { body { max-width: none; padding: 0; } h1, h2, h3, dt { break-after: avoid; }
  dl > div, figure { break-inside: avoid-page; } }
"""
"""What stands in the `style` element; its hash is in the policy, so nothing else may."""

REPORT_CSP: Final = (
    "default-src 'none'; img-src 'self'; base-uri 'none'; form-action 'none'; "
    f"style-src 'sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'"
)
"""Content-Security-Policy of our HTML: no script, no frame, no font, one style, pictures of this origin."""

HTML_HEADERS: Final = (
    ("Content-Security-Policy", REPORT_CSP),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
)
"""No referrer: the URL of a document has the UIDs of a patient's study in it."""
