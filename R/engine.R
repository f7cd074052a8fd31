# The only file that talks to reticulate. The rest of the package says `engine_call(name, args)`.

engine_path <- function() system.file("python", package = "tanya")

# Calls one function of `tanya.bridge`; its value comes back as R's own types.
engine_call <- function(name, arguments = list(), call = caller_env()) {
  bridge <- engine_bridge(call)
  reply <- tryCatch(
    # Names make it a dict even where it is empty.
    bridge$call(name, set_names(arguments, names2(arguments))),
    error = \(cnd) if (is_python_interrupt(cnd)) interrupt() else abort_internal(cnd, call)
  )
  if (!reply$ok) {
    abort_engine(reply$error, call)
  }
  from_engine(reply$value)
}

# Ctrl-C becomes Python's KeyboardInterrupt, which reticulate may hand over as an ordinary error.
is_python_interrupt <- function(cnd) {
  inherits(cnd, "python.builtin.KeyboardInterrupt") ||
    grepl("^KeyboardInterrupt", conditionMessage(cnd))
}

engine_bridge <- function(call = caller_env()) {
  if (is.null(the$bridge)) {
    the$bridge <- engine_start(call)
    engine_call("set_notifier", list(notify = notify), call)
    if (!is.null(the$offline)) {
      engine_call("set_offline", list(offline = the$offline), call)
    }
    for (suffix in names(the$formats)) {
      engine_call("register_format", list(suffix = suffix, convert = the$formats[[suffix]]), call)
    }
  }
  the$bridge
}

# What the engine has to say in the middle of a call: that it waits for another process.
notify <- function(text) cli::cli_inform(c(i = "{text}"))

engine_start <- function(call = caller_env()) {
  choice <- choose_python()
  check_python_exists(choice, call)
  unavailable_if_broken(start_python(choice), choice, call)
  the$way <- choice$way
  check_environment(unavailable_if_broken(engine_report(), choice, call), call)
  unavailable_if_broken(load_bridge(), choice, call)
}

load_bridge <- function() {
  # Before anything else imports torch: see inst/python/tanya/linking.py.
  engine_module("linking")$load_torch()
  engine_module("bridge")
}

unavailable_if_broken <- function(expr, choice, call) {
  tryCatch(expr, error = \(cnd) {
    python <- if (is.na(choice$python)) "Python" else cli::format_inline("{.file {choice$python}}")
    fact <- paste(python, "can't run the engine.")
    abort_python_unavailable("broken", fact, parent = cnd, call = call)
  })
}

# Which Python the first call will start, or has started: a list of `way`, what the choice follows
# from, `python`, its path, NA where reticulate will choose, and `running`.
choose_python <- function() {
  choice <- \(way, python = NA_character_, running = FALSE) {
    list(way = way, python = python, running = running)
  }
  virtual_env <- Sys.getenv("VIRTUAL_ENV")
  if (reticulate::py_available(initialize = FALSE)) {
    choice(the$way %||% "initialised", reticulate::py_config()$python, running = TRUE)
  } else if (nzchar(Sys.getenv("RETICULATE_PYTHON"))) {
    choice("RETICULATE_PYTHON", Sys.getenv("RETICULATE_PYTHON"))
  } else if (nzchar(virtual_env) && reticulate::virtualenv_exists(virtual_env)) {
    choice("VIRTUAL_ENV", reticulate::virtualenv_python(virtual_env))
  } else if (reticulate::virtualenv_exists(own_virtualenv)) {
    choice(own_virtualenv, reticulate::virtualenv_python(own_virtualenv))
  } else if (has_py_require()) {
    choice("py_require")
  } else {
    choice("discovery")
  }
}

own_virtualenv <- "r-tanya"

# `py_require()` came with reticulate 1.41.
has_py_require <- function() "py_require" %in% getNamespaceExports("reticulate")

start_python <- function(choice) {
  # reticulate would offer to install Miniconda: our own error offers something better.
  # It also warns of a hint that it overrules, because the user asked for another Python.
  with_envvar(c(RETICULATE_MINICONDA_ENABLED = "FALSE"), suppressWarnings({
    if (choice$way %in% c("VIRTUAL_ENV", own_virtualenv)) {
      reticulate::use_python(choice$python, required = FALSE)
    } else if (choice$way == "py_require") {
      getExportedValue("reticulate", "py_require")(read_requirements())
    }
    reticulate::py_config()
  }))
}

check_python_exists <- function(choice, call = caller_env()) {
  python <- choice$python
  # reticulate knows a Python of this name: one that it manages itself.
  exists <- python == "managed" || nzchar(Sys.which(python)) || file.exists(path.expand(python))
  if (choice$running || choice$way != "RETICULATE_PYTHON" || exists) {
    return(invisible())
  }
  abort_python_unavailable(
    "not_found",
    cli::format_inline("{.envvar RETICULATE_PYTHON} is {.file {python}}, which does not exist."),
    hint = cli::format_inline(
      "Unset it (see {.file ~/.Renviron}) and restart R, then run ",
      "{.run tanya::rag_install()}; or point it to a Python that exists."
    ),
    call = call
  )
}

# What the running Python offers: see inst/python/tanya/environment.py.
engine_report <- function() parse_json(engine_module("environment")$report())

# The path stays on `sys.path`: the processes that convert documents inherit it.
engine_module <- function(name) {
  sys <- reticulate::import("sys", convert = FALSE)
  if (!engine_path() %in% reticulate::py_to_r(sys$path)) {
    sys$path$insert(0L, engine_path())
  }
  reticulate::import(paste0("tanya.", name))
}

check_environment <- function(report, call = caller_env()) {
  python <- report$python
  if (!report$supported) {
    abort_python_unavailable(
      "too_old",
      cli::format_inline("{.file {python}} is Python {report$version}; tanya needs 3.10 or newer."),
      call = call
    )
  }
  lacking <- report$packages$package[!report$packages$ok]
  if (length(lacking) > 0) {
    abort_python_unavailable(
      "packages",
      cli::format_inline("{.file {python}} lacks {.pkg {lacking}}, or has too old a version."),
      details = list(python = python, packages = lacking),
      hint = cli::format_inline(
        "{.run tanya::rag_install()} sets up a Python that has all, or says what is in its way. ",
        "Restart R after it."
      ),
      call = call
    )
  }
}

read_requirements <- function() {
  lines <- trimws(readLines(file.path(engine_path(), "requirements.txt"), encoding = "UTF-8"))
  lines[nzchar(lines) & !startsWith(lines, "#")]
}

# Values that cross the boundary ------------------------------------------------------------------

# A vector as a Python list, whatever its length; missing values become None.
to_engine <- function(x) {
  if (is.null(x)) {
    return(NULL)
  }
  values <- as.list(if (is.character(x)) enc2utf8(x) else x)
  values[is.na(x)] <- list(NULL)
  unname(values)
}

from_engine <- function(value) {
  if (!is.list(value)) {
    return(value)
  }
  switch(value$kind %||% "",
    table = table_from_engine(value),
    matrix = matrix_from_engine(value),
    value
  )
}

table_from_engine <- function(table) {
  columns <- lapply(set_names(as.character(table$names)), \(name) {
    column_from_engine(table$columns[[name]])
  })
  tibble::new_tibble(columns, nrow = as.integer(table$rows))
}

column_from_engine <- function(column) {
  values <- column$values
  values <- switch(column$type,
    chr = as.character(values),
    int = as.integer(values),
    dbl = as.double(values),
    lgl = as.logical(values),
    json = parse_each(values)
  )
  missing <- as.integer(column$missing)
  values[missing] <- if (is.list(values)) list(NULL) else NA
  values
}

matrix_from_engine <- function(value) {
  size <- value$rows * value$columns
  doubles <- readBin(value$doubles, "double", n = size, size = 8L, endian = "little")
  matrix(doubles, nrow = value$rows, ncol = value$columns, byrow = TRUE)
}

# Many rows hold the same value, such as no value at all: each is parsed once.
parse_each <- function(values) {
  values <- as.character(values)
  distinct <- unique(values)
  lapply(distinct, parse_json)[match(values, distinct)]
}

parse_json <- function(x) jsonlite::parse_json(x, simplifyVector = TRUE)
