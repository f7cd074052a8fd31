# A function for the engine to call during long work, or NULL where nobody watches: in scripts,
# logs and knitted documents. cli itself waits two seconds before it shows a bar, and closes it when
# the function that owns `envir` ends.
progress_callback <- function(envir = caller_env()) {
  if (!progress_wanted()) {
    return(NULL)
  }
  bar <- NULL
  current <- ""
  function(stage, done, total) {
    # A bar that cannot be drawn must not stop the work it reports on.
    try_fetch(
      {
        if (stage != current) {
          if (!is.null(bar)) cli::cli_progress_done(id = bar, .envir = envir)
          bar <<- cli::cli_progress_bar(
            name = stage_label(stage), total = if (total > 0) total else NA, .envir = envir
          )
          current <<- stage
        }
        cli::cli_progress_update(set = done, id = bar, .envir = envir)
      },
      error = \(cnd) NULL
    )
    invisible()
  }
}

stage_label <- function(stage) {
  labels <- c(
    compare = "Comparing files", read = "Reading", embed = "Embedding", rebuild = "Rebuilding",
    download = "Downloading", install = "Installing models"
  )
  if (stage %in% names(labels)) labels[[stage]] else stage
}

progress_wanted <- function() {
  is_interactive() && cli::is_dynamic_tty() && !isTRUE(getOption("knitr.in.progress"))
}
