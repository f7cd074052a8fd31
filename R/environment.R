# Evaluates `expr` with environment variables set; NA unsets one.
with_envvar <- function(variables, expr) {
  before <- Sys.getenv(names(variables), NA, names = TRUE)
  set_envvar(variables)
  on.exit(set_envvar(before))
  force(expr)
}

set_envvar <- function(variables) {
  unset <- is.na(variables)
  Sys.unsetenv(names(variables)[unset])
  if (!all(unset)) do.call(Sys.setenv, as.list(variables[!unset]))
}

# The library search path for programs other than R. R puts its own and the system's libraries
# first; a Python from elsewhere would load the system's libpython of the same name with them, and
# then fail to import its own modules. See also inst/python/tanya/children.py.
library_path <- function(path = Sys.getenv("LD_LIBRARY_PATH"), home = R.home()) {
  entries <- strsplit(path, ":", fixed = TRUE)[[1]]
  system <- "^(/usr)?/lib(32|64)?(/[^/]+-linux-[^/]+)?/?$"
  kept <- entries[!startsWith(entries, home) & !grepl(system, entries)]
  c(LD_LIBRARY_PATH = if (any(nzchar(kept))) paste(kept, collapse = ":") else NA_character_)
}
