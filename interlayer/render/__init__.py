"""Renderings of a report: pure functions, report in and text out.

terminal   print_report: tables and findings on a console       tables   to_csv, tests_to_csv, paper_to_csv, to_markdown
html       to_html: one self-contained file                      svg      to_svg: one chart as a picture

networks (what is drawn together) -> layers_chart, gap_chart, heat_map, test_table (how it is drawn) -> html, svg
text (names and numbers as characters), wording (what a reader is told), drawing (SVG elements)
"""
