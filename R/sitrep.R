#' See what is there and what is missing
#'
#' @description
#' `rag_sitrep()` prints the versions of R packages and of Python, which Python is used and why,
#' which of the Python packages and models are there, and whether the network is allowed. It never
#' fails: the thing to run, and to show to others, when something doesn't work.
#'
#' `rag_available()` tells whether everything that the preset `"compact"` needs is on this machine,
#' so that nothing would have to be fetched.
#'
#' Both start Python, but never make reticulate fetch one.
#'
#' @returns `rag_sitrep()`: a list, invisibly, with
#'   * `versions`: a named character vector: `tanya`, `R`, `reticulate`,
#'   * `python`: a list of `way` (what the choice follows from), `path`, `version` and `problem`
#'     (`NA` if there is none),
#'   * `packages`: a data frame of `package`, `needed`, `installed` and `ok`,
#'   * `models`: as [rag_models()] gives it,
#'   * `offline`: `TRUE` where the network is forbidden.
#'
#'   Parts that can't be found out are `NULL`.
#'
#'   `rag_available()`: `TRUE` or `FALSE`.
#' @export
#' @examples
#' rag_available()
#' @examplesIf tanya::rag_available()
#' rag_sitrep()
rag_sitrep <- function() {
  choice <- choose_python()
  problem <- engine_problem(choice)
  report <- if (reticulate::py_available(initialize = FALSE)) quietly(engine_report())
  about <- list(
    versions = c(
      tanya = as.character(utils::packageVersion("tanya")),
      R = as.character(getRversion()),
      reticulate = as.character(utils::packageVersion("reticulate"))
    ),
    python = list(
      way = choice$way,
      path = report$python %||% choice$python,
      version = report$version %||% NA_character_,
      problem = if (is.null(problem)) NA_character_ else conditionMessage(problem)
    ),
    packages = report$packages,
    models = if (is.null(problem)) quietly(rag_models()),
    offline = the$offline %||% FALSE
  )
  writeLines(sitrep_lines(about))
  invisible(about)
}

#' @rdname rag_sitrep
#' @export
rag_available <- function() {
  if (!is.null(engine_problem(choose_python()))) {
    return(FALSE)
  }
  models <- quietly(rag_models("compact"))
  !is.null(models) && all(models$status == "installed")
}

# Why the engine can't run, as a condition; NULL if it can.
engine_problem <- function(choice) {
  if (choice$way == "py_require" && !choice$running) {
    fact <- "No Python was set up: reticulate would make one at the first call, and fetch packages."
    return(catch_cnd(abort_python_unavailable("not_found", fact)))
  }
  try_fetch(
    {
      engine_bridge()
      NULL
    },
    error = identity
  )
}

quietly <- function(expr) try_fetch(expr, error = \(cnd) NULL)

sitrep_lines <- function(about) {
  python <- about$python
  tick <- cli::col_green(cli::symbol$tick)
  cross <- cli::col_red(cli::symbol$cross)
  mark <- \(ok) ifelse(ok, tick, cross)
  packages <- about$packages
  models <- about$models
  c(
    cli::rule("tanya"),
    paste0(names(about$versions), " ", about$versions, collapse = ", "),
    paste0(
      mark(is.na(python$problem)), " Python ",
      if (is.na(python$version)) "" else paste0(python$version, " "),
      if (is.na(python$path)) "(none found yet)" else python$path,
      " [", python_ways[[python$way]], "]"
    ),
    if (!is.na(python$problem)) paste0("  ", strsplit(python$problem, "\n")[[1]]),
    if (!is.null(packages)) {
      c(
        cli::rule("Python packages"),
        paste0(
          mark(packages$ok), " ", format(packages$package), " ",
          ifelse(is.na(packages$installed), "missing", packages$installed),
          ifelse(packages$ok, "", paste0(" (needs ", packages$needed, " or newer)"))
        )
      )
    },
    if (!is.null(models)) {
      c(
        cli::rule("Models"),
        paste0(
          mark(models$status == "installed"), " ",
          format(models$preset), " ", format(models$role), " ", models$model, ": ", models$status
        )
      )
    },
    cli::rule("Network"),
    if (about$offline) "forbidden, by rag_offline()" else "allowed, for models that are missing"
  )
}

python_ways <- c(
  initialised = "started by another package",
  RETICULATE_PYTHON = "environment variable RETICULATE_PYTHON",
  VIRTUAL_ENV = "active virtual environment",
  "r-tanya" = "made by rag_install()",
  py_require = "reticulate would make one",
  discovery = "found by reticulate"
)
