"""Prints python-table.json: what CPython's `re` says about patterns, to hold the matcher against.

    python3.11 python_table.py > python-table.json

A row is a pattern and, for each text, a digit: 1 when re.match hits, plus 2 when re.fullmatch hits; `null` when re refuses
the pattern. A third entry holds what the group `idx` of re.match captured, where the pattern has one.
"""

import json
import random
import re
import signal
import sys
import warnings

warnings.simplefilter("ignore")

TEXTS = [
    "model.layers.0.self_attn.q_proj", "model.layers.10.self_attn.q_proj", "model.layers.1.mlp.experts.0.w1",
    "transformer.h.3.mlp.c_fc", "model.visual.blocks.2.attn.q_proj", "lm_head", "q_proj", "0.q", "x.1.2.y", "a", "ab",
    "aab", "abc", "ab.ab", "", "a\n", "a\nb", "\n", "A.B", "Kk", "aaaa", "_a1", "a b", " a ", "été", "ſs", "ß",
    "İi", "\u0663", "12",
]

CURATED = [
    r"(.*\.)?(q_proj)$", r"(.*\.)?(0.self_attn.q_proj)$", r"(.*\.)?(proj)$", r"(.*\.)?(^model.layers.0.self_attn.q_proj)$",
    r"(.*\.)?(q_proj|lm_head)$", r"(.*\.)?(layers\.(0|1)\..*)$", r"(.*\.)?((?i)Q_PROJ)$", r"(.*\.)?((?i:Q_PROJ))$",
    r"(.*\.)?(a)|(b)$", r"(.*\.)?((?P<n>q)_proj)$", r"(.*\.)?(q_proj\Z)$", r"(.*\.)?([^.]*_proj)$", r"(.*\.)?($", r"(.*\.)?())$",
    r"(^|.*\.)lm_head($|\..*)", r"(^|.*\.)layers.0($|\..*)", r"(^|.*\.)a|b($|\..*)", r"(^|.*\.)*a($|\..*)",
    r".*?\.[^.]*\.(?P<idx>\d+)\.", r"(?:^|.*?\.)layers\.(?P<idx>\d+)\.", r"(?:^|.*?\.)h\.(?P<idx>\d+)\.",
    r"(?:^|.*?\.)layers|h\.(?P<idx>\d+)\.", r"(?:^|.*?\.)(?:layers|blocks)\.(?P<idx>\d+)\.", r"(?:^|.*?\.).*\.(?P<idx>\d+)\.",
    r"(?:^|.*?\.)(?P<idx>a)\.(?P<idx>\d+)\.",
    r"(?:.*?(?:vision|visual|language|text).*?(?:self_attn|attn|mlp).*?(?:q_proj|c_fc).*?)|(?:\bmodel\.layers\.[\d]{1,}\.(?:self_attn|mlp)\.(?:(?:q_proj|k_proj)))",
    r"^(model\.layers(?=\.).*\.(q_proj|w1))$", r".*(?<!10)\.self_attn\.q_proj", r"(?!.*visual).*q_proj", r"(?i).*Q_PROJ",
    r"(?i)İI", r"(?i)k+", r"(?i)[A-Z]+", r"(?i)[^a-z]", r"(?i)ſ", r"(?ia)K\w", r"(?i)\u1e9e", r"(?s)a.b", r"(?m)^b$", r"(?m)a$", r"a$", r"a\Z",
    r"a.*", r"(?-i:a)", r"(?u)é", r"(?a)\w+", r"(?au)a", r"(?L)a", r"(?i-i:a)", r"(?s-i:a.)", r"a(?i)b", r"(?#c)a", r"(?#", r"(?i",
    r"\w+", r"\W", r"\d+", r"\D+", r"\s", r"\S+", r"\b", r"\B", r"\ba\b", r"\Ba", r"a\b b", r"[\w.]+", r"[]a]+", r"[^]a]+", r"[a-]+", r"[a-\d]",
    r"[b-a]", r"[", r"[a", r"[\]]", r"[\b]", r"[\B]", r"[[a]", r"\q", r"\8", r"\1", r"(a)\1", r"\101", r"\061\062", r"\400", r"[\400]", r"[\101-\103]+",
    r"\x61", r"\x6", r"\u0061", r"\u006", r"\U00000061", r"\U00110000", "\\", r"\.", r"\_", r"\é",
    r"a{2}", r"a{2,}", r"a{,2}", r"a{,}", r"a{2,1}", r"a{}", r"a{", r"a{x}", r"a{1,2", r"{", r"{2}", r"}", r"]", r")", r"(", r"*", r"a**", r"a*?", r"a+?b", r"a??",
    r"(?:a*)*", r"(a|b)*", r"(a*)+$", r"(a+)+$", r"(a|aa)+$", r"(|a)+$", r"(a|)*b", r"(?:^a|b)+", r"(?:$)*", r"(?:^)*a", r"^*", r"\b*",
    r"(?=a)a", r"(?!a).", r"(?<=a)b", r"a(?<=a)b", r"a(?<!b)b", r"(?<=a+)b", r"(?<=a|bc)b", r"(?=(?=a)a)*a", r"(?:)", r"(?:)*", r"()", r"(?P<1>a)",
    r"(?P<n>a)(?P<n>b)", r"(?P<n>a", r"(?P<>a)", r"(?P", r"(?P(", r"(?x", r"(?<a", r"(?a", r"(?z)a", r"(?-)a", r"(?i-:a)", r"a|b", r"|a", r"a|", r"|", r"", r"^$",
]

ATOMS = [
    "a", "b", ".", r"\.", r"\d", r"\w", r"\s", r"\W", "q_proj", "[ab]", "[^a]", "[a-c]", "[^.]", r"[\d_]", "^", "$", r"\b", r"\B", r"\Z",
    "layers", r"\d+", "x", "0", ".*", ".*?", "[A-Z]", "k", "s", "i",
]
GROUPS = ["", "?:", "?i:", "?s:", "?m:", "?a:", "?-i:", "?=", "?!", "?<=", "?<!"]
REPEATS = ["*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{,2}", "{0,}", "{1,}?"]


def grow(rng, depth):
    kind = rng.random()
    if depth <= 0 or kind < 0.4:
        return rng.choice(ATOMS)
    if kind < 0.62:
        return "".join(grow(rng, depth - 1) for _ in range(rng.randint(1, 3)))
    if kind < 0.74:
        return f"({rng.choice(GROUPS)}{grow(rng, depth - 1)})"
    if kind < 0.86:
        return grow(rng, depth - 1) + rng.choice(REPEATS)
    return f"({grow(rng, depth - 1)}|{grow(rng, depth - 1)})"


def random_pattern(rng):
    pattern = grow(rng, 4)
    kind = rng.random()
    if kind < 0.1:
        return rng.choice(["(?i)", "(?s)", "(?m)", "(?a)"]) + pattern
    if kind < 0.35:
        return rf"(.*\.)?({pattern})$"
    if kind < 0.5:
        return rf"(^|.*\.){pattern}($|\..*)"
    if kind < 0.65:
        return rf"(?:^|.*?\.){pattern}\.(?P<idx>\d+)\."
    return pattern


def row(pattern):
    try:
        compiled = re.compile(pattern)
    except (re.error, OverflowError, ValueError):
        return [pattern, None]
    digits, captured = "", []
    for text in TEXTS:
        match = compiled.match(text)
        digits += str((1 if match else 0) + (2 if compiled.fullmatch(text) else 0))
        captured.append(match.group("idx") if match and "idx" in compiled.groupindex else None)
    return [pattern, digits, captured] if "idx" in compiled.groupindex else [pattern, digits]


def too_long(*_):
    raise TimeoutError


def main():
    signal.signal(signal.SIGALRM, too_long)
    rng = random.Random(20260)
    rows = [row(pattern) for pattern in CURATED]
    while len(rows) < 700:
        pattern = random_pattern(rng)
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        try:
            if len(pattern) < 60 and not re.search(r"[*+?}]\+", pattern):  # no possessive quantifiers
                rows.append(row(pattern))
        except TimeoutError:
            pass  # Python itself would not finish
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    lines = ",\n".join(json.dumps(entry) for entry in rows)
    sys.stdout.write(f'{{"texts": {json.dumps(TEXTS)},\n"rows": [\n{lines}\n]}}\n')


main()
