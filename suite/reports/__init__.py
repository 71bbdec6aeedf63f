"""Reports: one module a form that a comparison or a gate's verdicts are written in. They decide nothing."""
