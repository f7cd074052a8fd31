#' tanya: ask your own documents, on your own machine
#'
#' @description
#' Point [rag_index()] at your documents, ask with [rag_ask()] in your own words, and get a tibble
#' with the answer, how sure it is, and exactly where it stands. Nothing leaves the machine.
#'
#' The work is done by Python behind the scenes: run [rag_install()] once, and [rag_sitrep()]
#' whenever something seems to be missing. `vignette("tanya")` is the place to start;
#' `vignette("tanya-id")` is the same in Indonesian.
#'
#' @section Options and environment variables:
#' * `RETICULATE_PYTHON`, `VIRTUAL_ENV`: the Python to use, see [rag_install()].
#' * `options(cli.progress_show_after = 2)`: seconds before a progress bar appears.
#' @import rlang
#' @keywords internal
"_PACKAGE"

# The one place for state that outlives a call: the Python bridge, once started (`bridge`), what
# rag_offline() was last told (`offline`, NULL where it was never called), and the functions of
# rag_register_format() by suffix (`formats`).
the <- new.env(parent = emptyenv())
