"""What Jinja 2 makes of templates, for the template interpreter's tests. Chat templates are written against the
environment set up here: a sandbox, blocks trimmed, loop controls, and a few functions of its own.

    jinja2-oracle.py language OUT               small templates that go through the language (OUT is language.jsonl)
    jinja2-oracle.py conversations FOLDER OUT   every *.jinja of a folder with a set of conversations

OUT gets a JSON object per line: name, template (its text, or its file's name), variables, now, and output or error.
"""

import datetime
import functools
import json
import pathlib
import sys

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

NOW = 1764000000


class Generation(Extension):
    """{% generation %} marks what a model is trained on; here it is only a bracket."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.Scope(body).set_lineno(line)


def environment():
    def to_json(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def strftime_now(layout):
        return datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc).strftime(layout)

    made = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    made.filters.update(tojson=to_json, from_json=json.loads)
    made.globals.update(raise_exception=raise_exception, strftime_now=strftime_now)
    return made


@functools.cache
def compiled(template):
    return environment().from_string(template)


def case(name, template, variables):
    made = {"name": name, "template": template, "variables": variables, "now": NOW}
    try:
        # A copy, so that no template sees what another did.
        made["output"] = compiled(template).render(**json.loads(json.dumps(variables)))
    except Exception as error:
        made["error"] = f"{type(error).__name__}: {error}"[:200]
    return made


LANGUAGE_VARIABLES = {'s': 'Hello, Wörld',
 'n': None,
 'l': [3, 1, 2],
 'd': {'b': 1, 'a': [1, 2.0, True, None, "q'"], 'é': 'x'},
 't': True,
 'i': 7,
 'f': 2.5,
 'e': '',
 'messages': [{'role': 'user', 'content': 'a'}, {'role': 'assistant', 'content': 'b', 'x': 1}],
 'big': 1e+22,
 'neg': -3,
 'ws': ' \t a b \n c ',
 'html': '<a href="x">\'&\'</a>'}

# One template per line, then some of several lines.
LANGUAGE = r'''
{{ s }}|{{ n }}|{{ l }}|{{ d }}|{{ t }}|{{ i }}|{{ f }}|{{ e }}|{{ big }}|{{ neg }}
{{ undefinedvar }}|{{ undefinedvar is defined }}|{{ s is string }}|{{ d is mapping }}|{{ l is sequence }}|{{ l is iterable }}|{{ i is number }}|{{ t is boolean }}|{{ t is number }}|{{ i is integer }}|{{ f is float }}|{{ n is none }}
{{ i / 2 }} {{ i // 2 }} {{ i % 4 }} {{ neg // 2 }} {{ neg % 2 }} {{ i ** 2 }} {{ i * f }} {{ 1 - 2 - 3 }} {{ 2 ** 3 ** 2 }} {{ -2 ** 2 }} {{ 7.5 // 2 }} {{ -7.5 % 2 }}
{{ "a" ~ 1 ~ none ~ 2.0 }} {{ "ab" * 3 }} {{ [1] * 2 }} {{ [1] + [2] }} {{ (1,2) + (3,) }} {{ () }} {{ (1,) }}
{{ 1 < 2 < 3 }} {{ 1 < 2 > 5 }} {{ "a" in s }} {{ "H" in s }} {{ "b" in d }} {{ 3 not in l }} {{ 1 == 1.0 }} {{ true == 1 }} {{ "1" == 1 }} {{ none == none }} {{ [1,2] < [1,3] }} {{ "a" < "b" }}
{{ l | sort }} {{ l | sort(reverse=true) }} {{ l | first }} {{ l | last }} {{ l | length }} {{ l | sum }} {{ l | max }} {{ l | min }} {{ l | join("-") }} {{ l | reverse | list }} {{ l | map("string") | join(",") }}
{{ d | dictsort }} {{ d | items | list }} {{ d.keys() | list }} {{ d.values() | list }} {{ d.get("zz", 5) }} {{ d.get("b") }} {{ d["a"][1] }} {{ d.a[-1] }} {{ d.nope }}
{{ d | tojson }} {{ d | tojson(indent=2) }} {{ html | tojson }} {{ d | tojson(sort_keys=true, separators=(",", ":")) }} {{ d|tojson(ensure_ascii=true) }}
{{ s[1:3] }} {{ s[::-1] }} {{ s[-3:] }} {{ l[1:] }} {{ l[:-1] }} {{ l[::2] }} {{ s[0] }} {{ s[-1] }} {{ s[100] }} {{ l[5] }}
{{ s | upper }} {{ s | lower }} {{ s | title }} {{ s | capitalize }} {{ ws | trim }}| {{ s | replace("l", "L") }} {{ s | replace("l", "L", 1) }} {{ s | length }} {{ s | list }} {{ s | reverse }} {{ s | center(20) }}|
{{ ws.strip() }}|{{ ws.lstrip() }}|{{ ws.rstrip() }}|{{ "xxaxx".strip("x") }}|{{ "a,b,c".split(",") }}|{{ "a,b,c".split(",", 1) }}|{{ ws.split() }}|{{ "a b c".split(None, 1) }}|{{ "a,b,c".rsplit(",", 1) }}|{{ "abc".startswith("a") }}|{{ "abc".endswith(("x","c")) }}|{{ "abc".find("c") }}|{{ "abcabc".rfind("b") }}|{{ "abcabc".count("bc") }}|{{ "a-b".partition("-") }}|{{ "a\nb\r\nc".splitlines() }}|{{ ",".join(["x","y"]) }}|{{ "abc".title() }}|{{ "Ab".swapcase() }}|{{ "12".isdigit() }}|{{ "ab".isalpha() }}|{{ "7".zfill(3) }}|{{ "a".ljust(3) }}|{{ "a".rjust(3, "-") }}|{{ "prefix-x".removeprefix("prefix-") }}
{{ "{} {} {a}".format(1, "x", a=2) }} {{ "{0:>5}|{1:<5}|{2:^5}|{3:05d}|{4:.2f}|{5!r}".format(1,2,3,4,5.678,"q") }} {{ "%s is %d and %.2f" % ("a", 3, 2.345) }} {{ "%s" | format("x") }} {{ "{{}}".format() }} {{ "{a[0]} {b.x}".format(a=[1], b={"x":1}) if false else 'n' }}
{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.cycle("a","b") }};{% else %}none{% endfor %}
{% for x in [] %}x{% else %}none{% endfor %}{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% for x in l if x > 1 %}{{ x }}{{ loop.last }}{% endfor %}
{% set ns = namespace(a=1) %}{% for x in l %}{% set ns.a = ns.a + x %}{% endfor %}{{ ns.a }}{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set c %}block {{ a }}{% endset %}{{ c }}{% set u | upper %}block{% endset %}{{ u }}
{% set x = 1 %}{% for i in [1,2] %}{% set x = x + 1 %}{{ x }}{% endfor %}{{ x }}
{% macro m(a, b=2, c="z") %}{{ a }}{{ b }}{{ c }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1) }}{{ m(1, c=5) }}{{ m(1,2,3,4,5,k=6) }}
{% macro w(t) %}<{{ t }}>{{ caller() }}</{{ t }}>{% endmacro %}{% call w("p") %}inner {{ i }}{% endcall %}{% macro w2() %}{{ caller(1, 2) }}{% endmacro %}{% call(a, b) w2() %}{{ a + b }}{% endcall %}
{% filter upper | replace("A", "b") %}abc{% endfilter %}{% with a=1, b=2 %}{{ a + b }}{% endwith %}
{{ "yes" if t else "no" }} {{ "yes" if not t }} {{ 1 if false else 2 if false else 3 }} {{ t and i }} {{ e or "dflt" }} {{ not t }} {{ n is not none }} {{ i is divisibleby 7 }} {{ i is odd }} {{ i is eq 7 }} {{ 2 is in l }} {{ i is not in [1] }}
{{ e | default("x") }} {{ e | default("x", true) }} {{ undefinedvar | default("x") }} {{ undefinedvar | d("y") }} {{ "3" | int + 1 }} {{ "x" | int(5) }} {{ "3.7" | float }} {{ 3.7 | int }} {{ 3.14159 | round(2) }} {{ 2.5 | round }} {{ -4 | abs }} {{ 3 | string ~ "x" }}
{{ messages | map(attribute="role") | list }} {{ messages | selectattr("role", "equalto", "user") | list | length }} {{ messages | rejectattr("x", "defined") | map(attribute="content") | join }} {{ l | select("odd") | list }} {{ l | reject("gt", 1) | list }} {{ l | batch(2) | list }} {{ l | slice(2) | list }} {{ [1,1,2] | unique | list }} {{ messages | groupby("role") | map("first") | list }}
{{ html | e }} {{ html | safe }} {{ "<" | safe + ">" }} {{ "a\tb\n\"q\" \x41\u00e9\101" }} {{ 'it''s' }} {{ 1_000 }} {{ 0x1f }} {{ 1e3 }} {{ 1.5e-7 }} {{ 100000000000000000.0 }} {{ 123456789.123 }}
{{ "line1\nline2\n\nline4" | indent }}|{{ "a\nb" | indent(2, true) }}|{{ "a\n\nb" | indent(1, blank=true) }}|{{ "word word word word" | truncate(10) }}|{{ "word word word word" | truncate(10, true, "~", 0) }}|{{ "a b c" | wordcount }}
{%- if true -%}   x   {%- endif -%}   y
{# comment #}  a {#- c -#}  b  {#+ d +#}
  {% if true %}
  indented
  {% endif %}
  {%+ if true %} plus {% endif +%}
{% raw %}{{ not }} {% x %}{% endraw %} {%- raw -%}  r  {%- endraw -%} z
{% for i in range(10) %}{% if i == 3 %}{% continue %}{% endif %}{% if i == 6 %}{% break %}{% endif %}{{ i }}{% endfor %}
{% for i in [[1,[2,3]],[4]] recursive %}{% if i is iterable %}({{ loop(i) }}){{ loop.depth }}{% else %}{{ i }}{% endif %}{% endfor %}
{{ range(3) | list }} {{ range(1, 10, 3) | list }} {{ range(5, 0, -2) | list }} {{ dict(a=1, b=2) }} {{ dict({"x": 1}, y=2) }}
{{ strftime_now("%Y-%m-%d %d %b %Y %B %A %H:%M:%S %j %p %I %y %%") }}
{{ {"a": 1, "b": {"c": [1, 2]}}.b.c[1] }} {{ [1, 2, 3][1] }} {{ (1, 2)[0] }} {{ {"k": "v"}["k"] }} {{ "abc".upper().lower() | upper }} {{ d.a | length }} {{ messages[0].role }} {{ messages[-1]["content"] }} {{ messages.0.role }}
{{ undefinedvar.x }}
{{ none.x }}
{{ none + 1 }}
{{ raise_exception("boom") }}
{{ d | nosuchfilter }}
{% if i is nosuchtest %}{% endif %}
{{ 1 + }}
{% if %}
{% endif %}
{{ "unterminated }}
{% for x in 5 %}{% endfor %}
{{ undefinedvar + 1 }} 
{{ undefinedvar ~ "x" }}{{ undefinedvar | length }}{{ undefinedvar | list }}{{ undefinedvar == undefinedvar2 }}{% for x in undefinedvar %}a{% endfor %}{{ "x" in undefinedvar }}
{{ "é" == "e\u0301" }} {{ "\r\n" | length }} {{ "👩‍👩‍👧" | length }} {{ "ǅ" | upper }} {{ "ß" | upper }} {{ "İ" | lower | length }}
{{ [1, "a", none, true, 2.5, {"x": (1,)}] | string }} {{ "it's" | list | first }} {{ ["it's", 'say "hi"', "both ' \""] }} {{ "\x00\x1b\u200b" ~ [ "\x00\x1b\u200b" ] }}
{{ loop is defined }} {{ namespace is defined }} {{ range is callable }}
{{ 10 | string | length }} {{ [3,1]|sort|first }} {{ l|map("int")|sum }} {{ l | sum(start=10) }} {{ messages|sum(attribute="x") if false else "skip" }} {{ "a" if l else "b" }} {{ [] == [] }} {{ {} == {} }} {{ d == d }}
{% set q = [] %}{% for x in l %}{% set q = q + [x] %}{% endfor %}{{ q }} {% for a in l %}{% for b in l %}{{ loop.index }}{% endfor %}{{ loop.index }}{% endfor %}
{% for x in l %}{{ loop.changed(x > 1) }}{% endfor %} {% set z = "%d" % 3 %}{{ z }} {{ "%5.1f|%-5s|%05d|%x|%%" % (1.25, "ab", 42, 255) }} {{ "%(a)s" % {"a": 1} }}
{{ "1,2;3".replace(",", ";").split(";") | map("int") | list }} {{ " a ".strip() ~ "|" }} {{ "a" "b" 'c' }} {{ -i }} {{ +i }} {{ - -i }} {{ not not t }} {{ i in l or t }} {{ (i in l) or t }}
{{ "abc" is in "xabcx" }} {{ s is lower }} {{ "abc" is lower }} {{ i is sameas 7 }} {{ t is sameas true }} {{ 1 is sameas true }} {{ t is true }} {{ n is false }} {{ undefinedvar is none }} {{ undefinedvar is string }} {{ undefinedvar is iterable }} {{ i is iterable }} {{ i > 3 and i < 10 }} {{ i is ge 7 }}
'''.strip("\n").split("\n")
LANGUAGE += ['  {% if true %}\n  indented\n  {% endif %}\n  {%+ if true %} plus {% endif +%}\nx\n',
 'a\n  {# c #}\nb\n{%- if t %}\n  y\n{%- endif %}\n\nend\n\n',
 '{{ s }}\n\n{% if t %}\n\n{{ s }}\n{% endif %}\n',
 'a\r\nb\r\n{% if t %}\r\nc{% endif %}\rd\r\n',
 '  {%- for x in l %}\n    {{- x }}\n  {%- endfor %}\n',
 '{% if t %}a{% elif i %}b{% else %}c{% endif %}\n   {% raw %}\n  keep {{ x }}\n  {% endraw %}\n z',
 '{% macro a() %}A{{ b() }}{% endmacro %}{% macro b() %}B{% endmacro %}{{ a() }}',
 '{%set x=1%}{{x}}{%if x==1%}y{%endif%}',
 "{{'a'}}{{-'b'-}} c {{+'d'}}",
 '{% generation %}g{{ i }}{% endgeneration %}\nz',
 "{% set x = {'a': {'b': 1}} %}{{ x.a.b }}{{ x['a']['b'] }}{{ x.a.c is defined }}",
 '\xa0 {%- if t %}\u2003{% endif %}',
 '{{ (l | length) > 2 and (d | length == 3) }}',
 '{% for m in messages %}{% if loop.first %}{% set first = true %}{% endif %}{{ first }}{% endfor %}',
 '{% if t -%}\n\n a \n\n{%- endif %}\n\nb']

TOOLS = [{'type': 'function',
  'function': {'name': 'get_weather',
               'description': 'Get the current weather, "quoted" & <b>é</b>',
               'parameters': {'type': 'object',
                              'properties': {'location': {'type': 'string', 'description': 'City'},
                                             'unit': {'type': 'string',
                                                      'enum': ['celsius', 'fahrenheit'],
                                                      'default': 'celsius'},
                                             'days': {'type': 'integer', 'minimum': 1, 'maximum': 14},
                                             'tags': {'type': 'array', 'items': {'type': 'string'}},
                                             'opt': {'type': ['string', 'null']},
                                             'nested': {'type': 'object',
                                                        'properties': {'a': {'type': 'number'},
                                                                       'b': {'type': 'boolean'}},
                                                        'required': ['a']}},
                              'required': ['location']}}},
 {'type': 'function',
  'function': {'name': 'no_args', 'description': 'Nothing.', 'parameters': {'type': 'object', 'properties': {}}}},
 {'type': 'function',
  'function': {'name': 'uni',
               'description': 'x',
               'parameters': {'type': 'object',
                              'properties': {'u': {'anyOf': [{'type': 'string'}, {'type': 'integer'}],
                                                   'description': 'either'},
                                             'e': {'enum': [1, 2.5, 'x', None, True]},
                                             'c': {'const': 'k'}},
                              'required': ['u', 'e'],
                              'additionalProperties': False}}}]
CONVERSATIONS = {'one': [{'role': 'user', 'content': 'Hello  \n'}],
 'sys': [{'role': 'system', 'content': 'You are *kind*.\n\n'}, {'role': 'user', 'content': "Hi <there> & 'you'"}],
 'multi': [{'role': 'user', 'content': ' a '},
           {'role': 'assistant', 'content': 'b\n'},
           {'role': 'user', 'content': '日本語 😀\t'},
           {'role': 'assistant', 'content': '<think>\nhm\n</think>\n\nanswer'},
           {'role': 'user', 'content': 'c'}],
 'sysmulti': [{'role': 'system', 'content': 'Sys'},
              {'role': 'user', 'content': '1'},
              {'role': 'assistant', 'content': '2'},
              {'role': 'user', 'content': '3'},
              {'role': 'assistant', 'content': '4'},
              {'role': 'user', 'content': '5\r\n6'}],
 'endassistant': [{'role': 'user', 'content': 'x'}, {'role': 'assistant', 'content': 'y'}],
 'reason': [{'role': 'user', 'content': 'q'},
            {'role': 'assistant', 'content': 'ans', 'reasoning_content': 'because'},
            {'role': 'user', 'content': 'q2'}],
 'tool': [{'role': 'system', 'content': 's'},
          {'role': 'user', 'content': 'weather?'},
          {'role': 'assistant',
           'content': None,
           'tool_calls': [{'id': 'call_1abcdefg',
                           'type': 'function',
                           'function': {'name': 'get_weather',
                                        'arguments': {'location': 'Paris',
                                                      'days': 3,
                                                      'tags': ['a', 'b'],
                                                      'nested': {'a': 1.5, 'b': True}}}}]},
          {'role': 'tool', 'tool_call_id': 'call_1abcdefg', 'name': 'get_weather', 'content': '{"t": 21}'},
          {'role': 'assistant', 'content': 'It is 21'},
          {'role': 'user', 'content': 'thanks'}],
 'toolstr': [{'role': 'user', 'content': 'weather?'},
             {'role': 'assistant',
              'content': '',
              'tool_calls': [{'id': 'call_1abcdefg',
                              'type': 'function',
                              'function': {'name': 'get_weather', 'arguments': '{"location": "Paris"}'}}]},
             {'role': 'tool', 'tool_call_id': 'call_1abcdefg', 'name': 'get_weather', 'content': '21'}],
 'toolid9': [{'role': 'user', 'content': 'weather?'},
             {'role': 'assistant',
              'content': 'text',
              'tool_calls': [{'id': 'abcdefghi',
                              'type': 'function',
                              'function': {'name': 'get_weather', 'arguments': {'location': 'Pa\'ris"'}}}]},
             {'role': 'tool', 'tool_call_id': 'abcdefghi', 'name': 'get_weather', 'content': '21'},
             {'role': 'tool', 'tool_call_id': 'abcdefghi', 'name': 'get_weather', 'content': '22'}],
 'parts': [{'role': 'user', 'content': [{'type': 'text', 'text': 'hello'}, {'type': 'text', 'text': ' world'}]},
           {'role': 'assistant', 'content': [{'type': 'text', 'text': 'ok'}]},
           {'role': 'user', 'content': [{'type': 'image'}, {'type': 'text', 'text': 'what'}]}],
 'empty': [],
 'dev': [{'role': 'developer', 'content': 'dev rules'}, {'role': 'user', 'content': 'x'}],
 'bad': [{'role': 'assistant', 'content': 'first'},
         {'role': 'assistant', 'content': 'second'},
         {'role': 'user', 'content': 'u'},
         {'role': 'user', 'content': 'v'}],
 'odd': [{'role': 'weird', 'content': 'x'}],
 'nocontent': [{'role': 'user', 'content': 'x'}, {'role': 'assistant'}, {'role': 'user', 'content': 'y'}],
 'nullcontent': [{'role': 'user', 'content': 'x'},
                 {'role': 'assistant', 'content': None},
                 {'role': 'user', 'content': 'y'}]}

# Some conversations are also rendered with these.
MORE = [
    {"add_generation_prompt": True, "tools": TOOLS},
    {"add_generation_prompt": True, "enable_thinking": False},
    {"add_generation_prompt": False, "enable_thinking": True, "tools": TOOLS,
     "documents": [{"title": "T", "text": "body", "content": "body"}]},
]
WITH_MORE = {"one", "tool", "toolstr", "toolid9", "sysmulti"}


def language():
    marks = {"bos_token": "<bos>", "eos_token": "<eos>", "add_generation_prompt": False}
    for number, template in enumerate(LANGUAGE):
        yield case(str(number), template, LANGUAGE_VARIABLES | marks)


def conversations(folder):
    for path in sorted(pathlib.Path(folder).glob("*.jinja")):
        template = path.read_bytes().decode()
        for name, messages in CONVERSATIONS.items():
            variants = [{"add_generation_prompt": True}, {"add_generation_prompt": False}]
            for variant in variants + (MORE if name in WITH_MORE else []):
                marks = {"messages": messages, "bos_token": "<bos>", "eos_token": "<eos>"}
                made = case(f"{path.name}, {name}", template, marks | variant)
                # The reader has the file too, and there are many cases of each.
                made["template"] = path.name
                yield made


def main():
    cases = language() if sys.argv[1] == "language" else conversations(sys.argv[2])
    with open(sys.argv[-1], "w") as out:
        for made in cases:
            out.write(json.dumps(made, ensure_ascii=False) + "\n")


main()
