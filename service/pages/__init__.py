"""The pages of a shared lab service: server-rendered, complete without JavaScript, in the tenant and scopes of a key.

    answers      templates to responses, and problems as pages      assets       style sheets and scripts
    signing      sign in and out                                    files        uploads
    analyses     the list, one analysis, its report                 new          the form of a new analysis
    reports      the history of reports, baselines                  comparisons  two reports side by side
    keys         API keys                                           limits       what this installation offers
    reference    the REST interface, at /docs

They call the functions that answer the REST interface: there is no second logic here.
"""

from fastapi import APIRouter

from service.pages import analyses, assets, comparisons, files, keys, limits, new, reference, reports, signing

router = APIRouter(include_in_schema=False)
for _part in (signing, new, analyses, reports, files, comparisons, keys, limits, reference, assets):
    router.include_router(_part.router)
