"""One analysis on 1 to 1,000 workers, as discrete events fed with measured costs; writes docs/scaling.md."""
