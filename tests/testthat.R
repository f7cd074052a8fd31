library(testthat)
library(tanya)

test_check("tanya")
