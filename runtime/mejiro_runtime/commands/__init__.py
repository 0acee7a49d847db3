"""Do what each command of `mejiro-run` asks: one file per command, with its `execute`."""
