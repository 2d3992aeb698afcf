"""The measured pages of docs, made from the JSON in benchmarks/results.

    python benchmarks/make_page.py
    python benchmarks/make_page.py --check

Text is in the templates, benchmarks/pages/**/*.md, and holds no measured figure; figures come from
the JSON alone. --check writes nothing and exits 1 when a page differs from what the JSON gives.
"""

import argparse
import importlib
import pathlib
import re

HERE = pathlib.Path(__file__).parent
TEMPLATES = HERE / "pages"
DOCS = HERE.parent / "docs"
PIECE = re.compile(r"\{\{ (\w+)\.(\w+)((?: [^ }]+)*) \}\}")


def piece(match):
    """The text that one ``{{ module.function argument ... }}`` of a template stands for."""
    module, function, arguments = match.groups()
    try:
        made = getattr(importlib.import_module(f"pages.{module}"), function)
        return made(*arguments.split())
    except Exception as error:
        error.add_note(f"in {match[0]}")
        raise


def page(template):
    """A page's text; a part that is empty leaves no blank lines behind."""
    text = PIECE.sub(piece, template.read_text())
    return re.sub(r"\n{3,}", "\n\n", text)


def pages():
    """{path below docs: text} of all pages."""
    templates = sorted(TEMPLATES.rglob("*.md"))
    return {str(template.relative_to(TEMPLATES)): page(template) for template in templates}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare only; 1 where they differ")
    parser.add_argument("--docs", type=pathlib.Path, default=DOCS, help="folder of the pages")
    parser.add_argument("--results", type=pathlib.Path, help="folder of the JSON")
    options = parser.parse_args()
    if options.results:
        importlib.import_module("pages.format").RESULTS = options.results
    different = []
    for name, text in pages().items():
        path = options.docs / name
        if path.exists() and path.read_text() == text:
            continue
        different.append(name)
        if not options.check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
    if options.check and different:
        parser.exit(1, f"out of date: {', '.join(different)}; run {pathlib.Path(__file__).name}\n")
    print(f"{'unchanged' if not different else 'written'}: {', '.join(different or pages())}")


if __name__ == "__main__":
    main()
