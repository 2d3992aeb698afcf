"""Formulas as MathML, which browsers draw themselves: no script, no font and no network."""

import re

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

# docutils sets the index of a letter with an accent below the letter
ACCENT_AND_INDEX = re.compile(
    r"<munderover>\s*(<mi>\S+</mi>)\s*(<m[in]>\S+</m[in]>)\s*(<mo\b[^<]*</mo>)\s*</munderover>"
)


def to_mathml(tex, block):
    mathml = tex2mathml(tex, as_block=block)
    return ACCENT_AND_INDEX.sub(r"<msub><mover accent='true'>\1\3</mover>\2</msub>", mathml)


def visit_inline(writer, node):
    writer.body.append(to_mathml(node.astext(), block=False))
    raise nodes.SkipNode


def visit_block(writer, node):
    writer.body.append(f'<div class="math">{to_mathml(node.astext(), block=True)}</div>')
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
