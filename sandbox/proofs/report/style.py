"""The style sheet of report pages: light and dark by the reader's choice, readable on paper."""

from __future__ import annotations

CSS = """
:root {
  color-scheme: light dark;
  --back: #ffffff; --panel: #f6f7f9; --line: #dde1e7; --text: #1c2128; --dim: #5d6876; --link: #2456c7;
  --good: #1a7f45; --good-back: #dff5e6; --warn: #8f5b00; --warn-back: #fdf0d1; --bad: #b3261e; --bad-back: #fde4e1;
  --plain: #46505e; --plain-back: #e9ecf0;
  --series-1: #2f6fdb; --series-2: #d9652b; --series-3: #2d9c5d; --series-4: #8e52c9; --series-5: #b08900;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #14171c; --panel: #1c2027; --line: #323945; --text: #e3e7ed; --dim: #98a3b3; --link: #7ea6ff;
    --good: #6fd695; --good-back: #15351f; --warn: #efc15c; --warn-back: #3b2e0f; --bad: #ff948a; --bad-back: #45191a;
    --plain: #b8c1ce; --plain-back: #2a303a;
    --series-1: #79a5ff; --series-2: #ff9c66; --series-3: #6fd695; --series-4: #c79bff; --series-5: #e3c04f;
  }
}
* { box-sizing: border-box; }
html { background: var(--back); color: var(--text); font: 15px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; }
body { max-width: 76rem; margin: 0 auto; padding: 1.5rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.25rem; margin: 2.4rem 0 .6rem; padding-top: 1rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.6rem 0 .4rem; }
h4 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
p { margin: .4rem 0; }
.name { display: inline-block; min-width: 11rem; }
a { color: var(--link); }
.lead { color: var(--dim); margin: 0 0 1rem; }
.dim { color: var(--dim); }
code, pre, .mono { font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; font-size: .88em; }
pre {
  background: var(--panel); border: 1px solid var(--line); border-radius: 6px; padding: .6rem .75rem; margin: .4rem 0;
  overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere; max-height: 40rem;
}
.wide { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; width: 100%; }
th { color: var(--dim); font-weight: 600; font-size: .85em; text-align: left; white-space: nowrap; }
th, td { padding: .32rem .7rem .32rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td { overflow-wrap: anywhere; }
th.right, td.right { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.good, td.warn, td.bad, td.plain { padding-left: .5rem; overflow-wrap: break-word; }
td.good { background: var(--good-back); color: var(--good); }
td.warn { background: var(--warn-back); color: var(--warn); }
td.bad { background: var(--bad-back); color: var(--bad); }
td.plain { background: var(--plain-back); color: var(--plain); }
.badge {
  display: inline-block; border-radius: 4px; padding: 0 .5em; font-size: .85em; font-weight: 600; white-space: nowrap;
  background: var(--plain-back); color: var(--plain);
}
.badge.good { background: var(--good-back); color: var(--good); }
.badge.warn { background: var(--warn-back); color: var(--warn); }
.badge.bad { background: var(--bad-back); color: var(--bad); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.2rem; margin: .6rem 0; }
dt { color: var(--dim); }
dd { margin: 0; overflow-wrap: anywhere; }
details { margin: .4rem 0; }
summary { cursor: pointer; }
details > :not(summary) { margin-left: 1rem; }
.note { border-left: 3px solid var(--line); padding: .1rem 0 .1rem .8rem; margin: .5rem 0; }
.note.good { border-color: var(--good); }
.note.warn { border-color: var(--warn); }
.note.bad { border-color: var(--bad); }
.row { display: flex; flex-wrap: wrap; gap: 1rem 1.5rem; align-items: flex-start; }
figure { margin: .6rem 0; }
.row > figure { flex: 1 1 24rem; max-width: 36rem; }
.row > figure > svg { width: 100%; }
figcaption { font-size: .9em; color: var(--dim); margin-bottom: .25rem; }
figure img { image-rendering: pixelated; max-width: 100%; height: auto; border: 1px solid var(--line); display: block; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1rem; font-size: .85em; color: var(--dim); margin-top: .3rem; }
.swatch { display: inline-block; width: .8em; height: .8em; margin-right: .35em; vertical-align: -.05em; }
svg { max-width: 100%; height: auto; display: block; }
svg text { fill: var(--dim); font: 11px system-ui, sans-serif; }
svg .grid { stroke: var(--line); stroke-width: 1; }
svg .curve { fill: none; stroke-width: 2; stroke-linejoin: round; }
.s1 { stroke: var(--series-1); fill: var(--series-1); background: var(--series-1); }
.s2 { stroke: var(--series-2); fill: var(--series-2); background: var(--series-2); }
.s3 { stroke: var(--series-3); fill: var(--series-3); background: var(--series-3); }
.s4 { stroke: var(--series-4); fill: var(--series-4); background: var(--series-4); }
.s5 { stroke: var(--series-5); fill: var(--series-5); background: var(--series-5); }
footer { margin-top: 3rem; padding-top: .8rem; border-top: 1px solid var(--line); color: var(--dim); font-size: .85em; }
@media print { details > :not(summary) { display: block; } pre { max-height: none; } }
"""
