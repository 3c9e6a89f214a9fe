"""Renderings of a report: pure functions, report in and text out.

    terminal   print_report: findings and tables on a console, plain or in colour
    html       to_html: one self-contained page
    svg        to_svg: any chart as a picture; png: the same as PNG
    tables     to_csv, contrasts_to_csv, paper_to_csv, to_markdown

What is drawn together is in networks, what a reader is told in wording, what may be said of the numbers themselves in
trust, how names and numbers are written in text; the other modules draw one thing each: layers_chart, gap_chart,
scatter_chart, pairs_chart, training_chart, heat_map, contrast_table, trust_table, data_table, and comparison_view two
reports together.
"""
