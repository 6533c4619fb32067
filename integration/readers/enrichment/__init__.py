"""The enriched columns of an access log, computed without icefold: other parsers, another reader, plain rules.

* `access_log`: the lines of the log, and what icefold should make of them before enrichment.
* `devices`: browser, operating system and device by PyPI `ua-parser` in pure Python, whose `ua-parser-builtins` 0.18.0
  hold the rules of uap-core 0.18.0 one by one.
* `sessions`: the rule of sessions, taken literally.
* `enriched`: all columns of all lines.
* `explanations`: where icefold differs, and why.
* `made_log`: a log that is harder on sessions than a real one.

`compare_enrichment.py` beside this folder compares.
"""
