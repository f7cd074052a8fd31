test_that("variables are set for an expression only", {
  withr::local_envvar(TANYA_ONE = "1", TANYA_TWO = NA)
  inside <- with_envvar(
    c(TANYA_ONE = NA, TANYA_TWO = "2"),
    Sys.getenv(c("TANYA_ONE", "TANYA_TWO"), "unset", names = FALSE)
  )
  expect_identical(inside, c("unset", "2"))
  expect_identical(Sys.getenv(c("TANYA_ONE", "TANYA_TWO"), "unset", names = FALSE), c("1", "unset"))
})

test_that("other programs get a library path without R's additions", {
  path <- \(...) unname(library_path(paste(..., sep = ":"), home = "/usr/lib/R"))
  expect_identical(path("/usr/lib/R/lib", "/usr/lib/x86_64-linux-gnu"), NA_character_)
  expect_identical(path("/usr/lib/R/lib", "/lib64", "/opt/cuda/lib64"), "/opt/cuda/lib64")
  expect_identical(path(""), NA_character_)
})
