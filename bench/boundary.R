# What a call from R costs over the same call in Python, and what many rows cost.
#
#   Rscript bench/boundary.R [rounds]
#
# Needs the package installed where R finds it. Prints one JSON line for each figure. What R adds to a
# call is the time of the call less that of the function in Python in the same call, because two runs
# of one question differ by more than what is to be measured.

library(tanya)

figure <- function(name, ...) {
  cat(jsonlite::toJSON(list(figure = name, ...), auto_unbox = TRUE, digits = 5), "\n", sep = "")
}
rounds <- as.integer(c(commandArgs(TRUE), 15)[[1]])
elapsed <- function(expr) {
  started <- Sys.time()
  expr
  as.double(Sys.time() - started, units = "secs")
}

folder <- system.file("extdata", "perusahaan", package = "tanya")
index <- suppressMessages(rag_index(folder))
question <- "Berapa hari cuti tahunan karyawan tetap?"

reticulate::py_run_string("
import time
from tanya import bridge, tables

inside = 0.0
call = bridge.call

def timed_call(name, arguments):
    global inside
    started = time.perf_counter()
    try:
        return call(name, arguments)
    finally:
        inside += time.perf_counter() - started

bridge.call = timed_call

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

# A call that does next to nothing in Python, many times over, as one is too short to time.
measure <- function(name, call, times) {
  call()
  pairs <- replicate(rounds, {
    reticulate::py_run_string("inside = 0.0")
    whole <- elapsed(for (i in seq_len(times)) call())
    1000 * c(whole, reticulate::py$inside) / times
  })
  figure(
    "r_call",
    call = name,
    r_ms = median(pairs[1, ]),
    python_ms = median(pairs[2, ]),
    added_ms = median(pairs[1, ] - pairs[2, ])
  )
}
measure("summary", \() summary(index), 20L)
measure("retrieve", \() rag_retrieve(index, question, k = 5, method = "keyword"), 20L)
measure("ask", \() rag_ask(index, question), 1L)

rows <- tanya:::engine_call("many_rows")
seconds <- replicate(rounds, elapsed(rows <- tanya:::engine_call("many_rows")))
figure("many_rows", rows = nrow(rows), columns = ncol(rows), seconds = median(seconds))
