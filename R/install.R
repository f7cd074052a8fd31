#' Set up Python and the models
#'
#' @description
#' Makes a virtual environment for tanya, named `r-tanya`, installs the Python packages into it and
#' fetches the models of a preset. To be run once; what is there already is left alone, so running it
#' again is quick and harmless.
#'
#' @param preset Name of the preset whose models to fetch (see [rag_models()]), or `NULL` for none.
#' @param ... Must be empty: the arguments after it are given by name.
#' @param torch Which build of PyTorch: `"cpu"`, `"cuda"`, or `"auto"` for `"cuda"` where an NVIDIA
#'   GPU answers, and `"cpu"` elsewhere. It makes a difference on Linux only, where the CUDA build is
#'   several gigabytes larger.
#' @param python `NULL` to look for a Python to make the environment from, or the path of one. Python
#'   3.10 or newer, with the modules venv and ensurepip, and built with a shared library.
#' @param upgrade `TRUE` to bring packages that are there already up to date.
#' @returns `rag_models(preset)`, or `NULL` for none, invisibly.
#' @section Which Python is used:
#' The first call that needs Python starts the first of these that there is:
#' 1. the Python that runs in the session already, if another package started one;
#' 2. the one that `RETICULATE_PYTHON` names;
#' 3. the virtual environment that is active (`VIRTUAL_ENV`);
#' 4. `r-tanya`, which this function makes;
#' 5. one that reticulate makes (`reticulate::py_require()`, from reticulate 1.41), or finds.
#'
#' A Python that you chose with `reticulate::use_python()` or its like goes before 3 to 5. tanya never
#' sets `RETICULATE_PYTHON`, and `library(tanya)` does not start Python.
#'
#' If the Python that would be used lacks nothing, `rag_install()` makes no environment, and only
#' fetches models.
#' @section Behind a firewall:
#' Packages are installed by pip, which honours its own configuration: `PIP_INDEX_URL`,
#' `pip.conf` and so on. A mirror of the Python Package Index is enough, also for the models of the
#' preset `"compact"`. For the CPU build of PyTorch its own index, download.pytorch.org, is added if
#' it can be reached.
#' @section Crashes on loading:
#' R and PyTorch may each bring a copy of the OpenMP library, mostly on macOS, and some versions
#' abort the session with "OMP: Error #15". What helps is a Python whose packages all come from pip
#' (as in `r-tanya`) beside an R from CRAN. Setting `KMP_DUPLICATE_LIB_OK=TRUE` hides the error, but
#' may give wrong results, which is why tanya does not do it.
#' @section Errors:
#' `tanya_error_installation`, with the field `details$command` if a program failed;
#' `tanya_error_model_unavailable`. See [tanya_error].
#' @export
#' @examples
#' \dontrun{
#' rag_install()
#' rag_install("indonesian")
#' }
rag_install <- function(preset = "compact", ..., torch = c("auto", "cpu", "cuda"), python = NULL,
                        upgrade = FALSE) {
  check_dots(...)
  torch <- check_choice(torch, c("auto", "cpu", "cuda"))
  upgrade <- check_flag(upgrade)
  if (!is.null(preset)) check_string(preset)
  if (!is.null(python)) check_string(python)

  choice <- choose_python()
  if (upgrade || !packages_complete(choice)) {
    check_not_overruled(choice)
    install_packages(make_virtualenv(python), torch, upgrade)
    if (choice$running) {
      cli::cli_warn(c(
        "The packages are installed, but this session runs a Python already.",
        i = "Restart R, then run {.run tanya::rag_install()} again to fetch the models."
      ))
      return(invisible(NULL))
    }
  }
  if (!is.null(preset)) {
    engine_call("install", list(preset = preset, progress = progress_callback()))
    cli::cli_inform(c(v = "Python and the models of preset {.val {preset}} are ready."))
    return(invisible(rag_models(preset)))
  }
  cli::cli_inform(c(v = "Python is ready."))
  invisible(NULL)
}

# Python ------------------------------------------------------------------------------------------

# tanya has no business in an environment that the user made, and installing beside it would be of
# no use.
check_not_overruled <- function(choice, call = caller_env()) {
  if (!choice$way %in% c("RETICULATE_PYTHON", "VIRTUAL_ENV")) {
    return(invisible())
  }
  requirements <- file.path(engine_path(), "requirements.txt")
  command <- paste(shQuote(choice$python), "-m pip install -r", shQuote(requirements))
  abort_tanya(
    "installation",
    c(
      "{.envvar {choice$way}} is set, and goes before the environment {.file {own_virtualenv}}.",
      i = "Unset it, restart R and try again.",
      i = "Or install into the Python that it names: {.code {command}}"
    ),
    details = list(command = command),
    call = call
  )
}

# Makes `r-tanya`, unless it is there and works; gives its Python.
make_virtualenv <- function(python, call = caller_env()) {
  exists <- reticulate::virtualenv_exists(own_virtualenv)
  if (!exists || is.null(describe_python(reticulate::virtualenv_python(own_virtualenv)))) {
    starter <- find_starter(python, call)
    path <- path.expand(file.path(reticulate::virtualenv_root(), own_virtualenv))
    cli::cli_inform(c(i = "Making the virtual environment {.file {path}} from {.file {starter}}."))
    run_python(starter, c("-m", "venv", "--clear", path), call)
  }
  reticulate::virtualenv_python(own_virtualenv)
}

find_starter <- function(python, call = caller_env()) {
  candidates <- python %||% c(
    Sys.which(c("python3", "python")),
    Sys.glob(c(
      "/usr/bin/python3", "/usr/local/bin/python3", "/opt/homebrew/bin/python3",
      "/opt/python/*/bin/python3",
      file.path(Sys.getenv("LOCALAPPDATA", "?"), "Programs/Python/Python3*/python.exe")
    )),
    known_starters()
  )
  candidates <- unique(candidates[nzchar(candidates)])
  for (candidate in candidates) {
    if (is_starter(describe_python(candidate))) {
      return(candidate)
    }
  }
  abort_no_starter(candidates, call)
}

# Those that reticulate::install_python() made, among others; from reticulate 1.30.
known_starters <- function() {
  if (!"virtualenv_starter" %in% getNamespaceExports("reticulate")) {
    return(character())
  }
  starters <- quietly(getExportedValue("reticulate", "virtualenv_starter")(all = TRUE))
  rev(as.character(starters$path))
}

is_starter <- function(report) {
  !is.null(report) && report$supported && report$venv && report$shared
}

# What environment.py reports of a Python that isn't running in this session, NULL where it fails.
describe_python <- function(python) {
  variables <- c(PYTHONPATH = engine_path(), library_path())
  arguments <- c("-m", "tanya.environment")
  quietly(with_envvar(variables, suppressWarnings(
    parse_json(system2(python, arguments, stdout = TRUE, stderr = FALSE))
  )))
}

abort_no_starter <- function(candidates, call) {
  way <- switch(Sys.info()[["sysname"]],
    Linux = "On Debian and Ubuntu: {.code sudo apt install python3-venv libpython3-dev}.
             On Fedora: {.code sudo dnf install python3 python3-libs}.",
    Darwin = "Install Python from {.url https://www.python.org/downloads/}, or with
              {.code brew install python}.",
    Windows = "Install Python from {.url https://www.python.org/downloads/}."
  )
  abort_tanya(
    "installation",
    c(
      "No Python was found that tanya can use.",
      x = "It has to be 3.10 or newer, with venv and ensurepip, and built with a shared library.",
      x = if (length(candidates) > 0) "Looked at {.file {candidates}}.",
      i = way,
      i = "On all platforms: {.run reticulate::install_python(\"3.11:latest\")}."
    ),
    details = list(candidates = unname(candidates)),
    call = call
  )
}

packages_complete <- function(choice) {
  report <- if (choice$running) {
    quietly(engine_report())
  } else if (!is.na(choice$python)) {
    describe_python(choice$python)
  }
  !is.null(report) && report$supported && all(report$packages$ok)
}

# Packages ----------------------------------------------------------------------------------------

install_packages <- function(python, torch, upgrade, call = caller_env()) {
  report <- describe_python(python)
  if (!upgrade && !is.null(report) && all(report$packages$ok)) {
    return(invisible())
  }
  cli::cli_inform(c(i = "Installing Python packages; this may take some minutes."))
  options <- if (upgrade) "--upgrade"
  install_torch(python, torch, options, call)
  run_pip(python, c(options, "-r", file.path(engine_path(), "requirements.txt")), call)
}

# PyTorch goes first: once its CPU build is there, pip is content with it, and leaves the CUDA build
# of the Python Package Index alone.
install_torch <- function(python, torch, options, call) {
  index <- if (wants_cpu_index(torch)) c("--extra-index-url", pytorch_index)
  tested <- readLines(file.path(engine_path(), "torch.txt"))
  tryCatch(
    run_pip(python, c(options, index, tested), call),
    tanya_error_installation = \(cnd) {
      # The version that tanya was tested with doesn't exist for every Python.
      run_pip(python, c(options, index, grep("^torch", read_requirements(), value = TRUE)), call)
    }
  )
}

pytorch_index <- "https://download.pytorch.org/whl/cpu"

wants_cpu_index <- function(torch) {
  if (Sys.info()[["sysname"]] != "Linux" || torch == "cuda" || (torch == "auto" && has_gpu())) {
    return(FALSE)
  }
  answers(pytorch_index)
}

has_gpu <- function() {
  program <- Sys.which("nvidia-smi")
  nzchar(program) && suppressWarnings(system2(program, "-L", stdout = FALSE, stderr = FALSE)) == 0
}

answers <- function(url, seconds = 4) {
  before <- options(timeout = seconds)
  on.exit(options(before))
  connection <- url(paste0(url, "/"))
  on.exit(close(connection), add = TRUE)
  !is.null(quietly(suppressWarnings(readLines(connection, n = 1))))
}

run_pip <- function(python, arguments, call = caller_env()) {
  options <- c("--disable-pip-version-check", if (!is_interactive()) "--quiet")
  run_python(python, c("-m", "pip", "install", options, arguments), call)
}

run_python <- function(python, arguments, call = caller_env()) {
  status <- with_envvar(library_path(), system2(python, shQuote(arguments)))
  if (status != 0) {
    command <- paste(c(python, arguments), collapse = " ")
    abort_tanya(
      "installation",
      c("A program failed with status {status}; its own words are above.", x = "{.code {command}}"),
      details = list(command = command, status = status),
      call = call
    )
  }
}
