"""The generated modules, timed next to other programs that compute the same: `make bench`.

| module            | says                                                                     |
|-------------------|--------------------------------------------------------------------------|
| `problems`        | which cells at which sizes, and the numbers that everyone is given       |
| `ours`, `peers/`  | who takes part: value and gradients of one problem, each in its own way  |
| `contest`         | agreement first, then the time: all contenders in turn, round after round|
| `measure`         | everything at one number of threads, in a process of its own             |
| `further`         | what is no contest: deriving, importing, a pass over a large file        |
| `targets`         | what the project has set itself, and whether the numbers reach it        |
| `report`, `units` | numbers → Markdown                                                       |
| `processes`       | processes of their own: a number of threads, a peak of memory            |
| `__main__`        | the processes in order, the options                                      |
"""
