once <- new.env(parent = emptyenv())

# Tests that need the real engine are left out, and say so, only where there is none.
skip_if_no_engine <- function() {
  if (is.null(once$available)) {
    once$available <- rag_available()
  }
  skip_if_not(once$available, "Python, its packages or the compact models are not here")
}

# One index of the sample documents for all tests that only read it.
sample_index <- function() {
  skip_if_no_engine()
  if (is.null(once$index)) {
    folder <- system.file("extdata", "perusahaan", package = "tanya")
    once$index <- suppressMessages(rag_index(folder, path = tempfile(fileext = ".tanya")))
  }
  once$index
}

sample_questions <- c(
  "Berapa hari cuti tahunan karyawan tetap?",
  "Siapa presiden Prancis?"
)

text_index <- function(texts, ...) {
  skip_if_no_engine()
  suppressMessages(rag_index(I(texts), path = tempfile(fileext = ".tanya"), ...))
}

# Runs `lines` of R in a session of its own; gives what it printed, errors included.
run_r <- function(lines, env = character()) {
  installed <- find.package("tanya")
  skip_if_not(dir.exists(file.path(installed, "Meta")), "tanya is not installed, only loaded")
  script <- tempfile(fileext = ".R")
  on.exit(unlink(script))
  attach <- sprintf("library(tanya, lib.loc = %s)", deparse(dirname(installed)))
  writeLines(c(attach, lines), script)
  rscript <- file.path(R.home("bin"), "Rscript")
  suppressWarnings(
    system2(rscript, c("--no-save", script), stdout = TRUE, stderr = TRUE, env = env)
  )
}

# An answer as the engine gives it, for tests of what R makes of it.
made_answers <- function(..., abstains = TRUE) {
  rows <- tibble::tibble(
    question = c("Berapa hari cuti tahunan karyawan tetap?", "Siapa presiden Prancis?"),
    answer = c("14 hari kerja", NA),
    score = c(0.9123, 0.0214),
    document = c("kebijakan_cuti.md", NA),
    page = c(NA, NA_integer_),
    start = c(120L, NA),
    end = c(132L, NA),
    passage = c("Karyawan tetap berhak atas 14 hari kerja cuti tahunan.", NA),
    retrieval_score = c(2.5, 0.1),
    margin = c(4.1, -3.8),
    rank = c(1L, 1L),
    place = c("Cuti tahunan", NA),
    candidate = c("14 hari kerja", "direktur"),
    support = c(2L, 0L),
    elsewhere = list(
      data.frame(document = "peraturan.pdf", page = 3L, start = 9L, end = 21L, place = "page 3"),
      list()
    )
  )
  new_answers(rows, threshold = 0.5, abstains = abstains)
}
