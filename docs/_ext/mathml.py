"""Formulas as MathML, which browsers draw themselves: no script, no font and no network."""

import re

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

# docutils sets the index of a letter with an accent below the letter, and without a font for
# mathematics browsers draw the accent into the letter: both are mended here.
ACCENT_AND_INDEX = re.compile(
    r"<munderover>\s*(<mi>\S+</mi>)\s*(<m[in]>\S+</m[in]>)\s*(<mo\b[^<]*</mo>)\s*</munderover>"
)
ACCENT = re.compile(r"<mover\b[^>]*>\s*<mi>(\S+)</mi>\s*<mo\b[^>]*>([ˉˆ])</mo>\s*</mover>")
COMBINING = {"ˉ": "\u0304", "ˆ": "\u0302"}


def to_mathml(tex, block):
    mathml = tex2mathml(tex, as_block=block)
    mathml = ACCENT_AND_INDEX.sub(r"<msub><mover>\1\3</mover>\2</msub>", mathml)
    return ACCENT.sub(accented_letter, mathml)


def accented_letter(found):
    return f'<mi style="font-style: italic">{found[1]}{COMBINING[found[2]]}</mi>'


def visit_inline(writer, node):
    writer.body.append(to_mathml(node.astext(), block=False))
    raise nodes.SkipNode


def visit_block(writer, node):
    writer.body.append(f'<div class="math">{to_mathml(node.astext(), block=True)}</div>')
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
