# What a call from R costs over the same call in Python, and what many rows cost.
#
#   Rscript bench/boundary.R [rounds]
#
# Needs the package installed where R finds it. Prints one JSON line for each figure.

library(tanya)

figure <- function(name, ...) {
  cat(jsonlite::toJSON(list(figure = name, ...), auto_unbox = TRUE, digits = 5), "\n", sep = "")
}
rounds <- as.integer(c(commandArgs(TRUE), 15)[[1]])
elapsed <- function(expr) system.time(expr)[["elapsed"]]

folder <- system.file("extdata", "perusahaan", package = "tanya")
index <- suppressMessages(rag_index(folder))
question <- "Berapa hari cuti tahunan karyawan tetap?"

reticulate::py_run_string("
import time
from tanya import bridge, tables

def seconds(name, arguments, times):
    started = time.perf_counter()
    for _ in range(times):
        assert bridge.call(name, arguments)['ok']
    return (time.perf_counter() - started) / times

def made(rows):
    passage = 'Karyawan tetap berhak atas cuti tahunan selama empat belas hari kerja. '
    values = {
        'chr': lambda n: f'{passage}{n}', 'int': lambda n: n, 'dbl': lambda n: n / 3,
        'lgl': lambda n: n % 2 == 0, 'json': lambda n: [],
    }
    makers = [values[kind] for kind in tables._HITS.values()]
    return [tuple(None if n % 50 == 0 else make(n) for make in makers) for n in range(rows)]

hits = made(100_000)
bridge._FUNCTIONS['many_rows'] = lambda: tables.table(tables._HITS, hits)
")
in_python <- reticulate::py$seconds

# A call that does next to nothing in Python, many times over, as one is too short to time.
compare <- function(name, arguments, from_r, times) {
  from_r()
  pairs <- replicate(rounds, c(
    r = elapsed(for (i in seq_len(times)) from_r()) / times,
    python = in_python(name, arguments, times)
  ))
  figure(
    "r_call",
    call = name,
    r_ms = 1000 * median(pairs["r", ]),
    python_ms = 1000 * median(pairs["python", ]),
    added_ms = 1000 * median(pairs["r", ] - pairs["python", ])
  )
}
path <- index$path
compare("describe", list(path = path), \() summary(index), 20L)
compare(
  "retrieve",
  list(path = path, questions = question, k = 5L, method = "keyword"),
  \() rag_retrieve(index, question, k = 5, method = "keyword"),
  20L
)
compare("ask", list(path = path, questions = question), \() rag_ask(index, question), 1L)

rows <- tanya:::engine_call("many_rows")
seconds <- replicate(rounds, elapsed(rows <- tanya:::engine_call("many_rows")))
figure("many_rows", rows = nrow(rows), columns = ncol(rows), seconds = median(seconds))
