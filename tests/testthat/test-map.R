test_that("an index can be drawn as a map", {
  skip_if_not_installed("ggplot2")
  index <- sample_index()
  passages <- rag_passages(index)
  plot <- ggplot2::autoplot(index)
  expect_identical(plot$data$passage_id, passages$passage_id)
  expect_identical(nrow(ggplot2::ggplot_build(plot)$data[[1]]), nrow(passages))
  expect_match(plot$labels$caption, "passages")
  again <- ggplot2::autoplot(index)
  expect_identical(plot$data, again$data)

  few <- ggplot2::autoplot(index, colour = "cluster", clusters = 4, limit = 50)
  expect_identical(nrow(few$data), 50L)
  expect_match(few$labels$caption, "^50 of ")
  expect_setequal(few$data$cluster, 1:4)
  expect_error(ggplot2::autoplot(index, layout = "tsne"), class = "tanya_error_invalid_argument")
  expect_error(ggplot2::autoplot(index, size = 2), class = "tanya_error_invalid_argument")
})

test_that("an index of hardly anything can be drawn, too", {
  skip_if_not_installed("ggplot2")
  for (texts in list(c(a = "Cuti."), c(a = "Cuti.", b = "Dinas."))) {
    plot <- ggplot2::autoplot(text_index(texts))
    expect_identical(nrow(ggplot2::ggplot_build(plot)$data[[1]]), length(texts))
  }
})

test_that("UMAP leaves the random numbers of the session alone", {
  skip_if_not_installed("ggplot2")
  skip_if_not_installed("uwot")
  index <- sample_index()
  set.seed(4)
  expected <- runif(1)
  set.seed(4)
  first <- ggplot2::autoplot(index, layout = "umap", limit = 60)
  expect_identical(runif(1), expected)
  expect_identical(nrow(first$data), 60L)
  expect_true(all(is.finite(first$data$x)))
})
