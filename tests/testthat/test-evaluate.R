gold_sample <- function() {
  gold <- read.csv(system.file("extdata", "gold.csv", package = "tanya"), encoding = "UTF-8")
  gold[c(1, 2, which(gold$answer == "")[1:2]), ]
}

test_that("rag_evaluate() tells right from wrong and sums up", {
  index <- sample_index()
  gold <- gold_sample()
  evaluation <- rag_evaluate(index, gold)
  expect_s3_class(evaluation, "tanya_evaluation")
  expect_identical(evaluation$question, gold$question)
  expect_identical(lengths(evaluation$gold) > 0, gold$answer != "")
  outcomes <- c(
    "right", "rightly declined", "document not indexed", "passage not retrieved",
    "below the threshold", "another span preferred", "not declined"
  )
  expect_true(all(evaluation$outcome %in% outcomes))
  expect_identical(evaluation$right, evaluation$outcome %in% outcomes[1:2])
  expect_true(all(evaluation$f1 >= 0 & evaluation$f1 <= 1))
  figures <- summary(evaluation)
  expect_identical(nrow(figures), 1L)
  expect_equal(figures$answerable, 2)
  expect_equal(figures$unanswerable_declined, mean(evaluation$right[3:4]))
})

test_that("rag_evaluate() takes a list column, and no documents", {
  index <- text_index(c(a = "Cuti tahunan diberikan selama empat belas hari kerja."))
  gold <- tibble::tibble(
    question = "Berapa lama cuti tahunan?",
    answer = list(c("empat belas hari kerja", "empat belas hari"))
  )
  evaluation <- rag_evaluate(index, gold, threshold = 0)
  expect_identical(evaluation$gold[[1]], gold$answer[[1]])
  expect_identical(evaluation$passage_rank, 1L)
  expect_identical(evaluation$outcome, "right")
})

test_that("rag_evaluate() refuses what is no gold", {
  skip_if_no_engine()
  index <- text_index("teks")
  expect_error(rag_evaluate(index, 1:3), class = "tanya_error_invalid_argument")
  expect_error(
    rag_evaluate(index, data.frame(question = "apa")),
    class = "tanya_error_invalid_argument"
  )
  expect_error(
    rag_evaluate(index, data.frame(question = NA, answer = "a")),
    class = "tanya_error_invalid_argument"
  )
})

test_that("rag_compare() gives differences with intervals", {
  index <- sample_index()
  gold <- gold_sample()
  first <- rag_evaluate(index, gold, threshold = 1)
  second <- rag_evaluate(index, gold, threshold = 0)
  compared <- rag_compare(first, second)
  expect_named(compared, c("figure", "first", "second", "difference", "low", "high"))
  expect_equal(compared$difference, compared$second - compared$first)
  expect_true(all(compared$low <= compared$difference & compared$difference <= compared$high))
  expect_error(rag_compare(first, second[2:1, ]), class = "tanya_error_invalid_argument")
  expect_error(rag_compare(first, gold), class = "tanya_error_invalid_argument")
})

test_that("rag_calibrate() is kept in the index until it is taken back", {
  folder <- system.file("extdata", "perusahaan", package = "tanya")
  skip_if_no_engine()
  index <- suppressMessages(rag_index(file.path(folder, "kebijakan_cuti.md"), tempfile(fileext = ".tanya")))
  gold <- read.csv(system.file("extdata", "gold.csv", package = "tanya"), encoding = "UTF-8")
  own <- gold$document == "kebijakan_cuti.md"
  fitted <- rag_calibrate(index, gold[own | gold$answer == "", ])
  expect_identical(fitted$when, c("before", "after"))
  expect_true(all(fitted$temperature > 0))
  answers <- rag_ask(index, "Berapa hari cuti tahunan karyawan tetap?")
  expect_equal(attr(answers, "threshold"), fitted$threshold[[2]])
  reset <- rag_calibrate(index, NULL)
  expect_equal(reset$threshold, rev(fitted$threshold))
})

test_that("rag_explain() shows what an answer was chosen from", {
  index <- sample_index()
  answers <- rag_ask(index, sample_questions, k = 3, threshold = 0)
  explanation <- rag_explain(answers)
  expect_s3_class(explanation, "tanya_explanation")
  expect_identical(explanation$rank, 1:3)
  expect_identical(explanation$candidate[explanation$verdict == "answer"][[1]], answers$answer[[1]])
  declined <- rag_ask(index, sample_questions, k = 3, threshold = 1)
  expect_true(all(rag_explain(declined, 2)$verdict == "below the threshold"))
  expect_error(rag_explain(answers, 3), class = "tanya_error_invalid_argument")
  expect_error(rag_explain(data.frame()), class = "tanya_error_invalid_argument")
})

test_that("an evaluation can be plotted", {
  skip_if_not_installed("ggplot2")
  gold <- gold_sample()
  evaluation <- rag_evaluate(sample_index(), gold)
  for (type in c("reliability", "threshold", "recall")) {
    plot <- ggplot2::autoplot(evaluation, type)
    built <- ggplot2::ggplot_build(plot)
    expect_gt(nrow(built$data[[length(built$data)]]), 0)
  }
  recall <- ggplot2::autoplot(evaluation, "recall")$data$recall
  expect_equal(recall[[5]], summary(evaluation)$recall_at_5)
  expect_error(ggplot2::autoplot(evaluation, "pie"), class = "tanya_error_invalid_argument")
})

test_that("known answers may be missing, or numbers, in a list column", {
  gold <- tibble::tibble(question = rep("Berapa?", 4), answer = list("a", NA, NULL, 14))
  expect_identical(as_gold(gold)$answers, list("a", character(), character(), "14"))
})

test_that("rag_explain() refuses answers of another call than the first", {
  texts <- data.frame(
    text = c("Pabrik di Medan dibuka tahun 1999.", "Pabrik di Medan dibuka tahun 2004."),
    id = c("lama", "baru")
  )
  index <- suppressMessages(rag_index(texts, text = text, id = id))
  ask <- \(which) rag_ask(index, "Kapan pabrik di Medan dibuka?", filter = id == which, threshold = 0)
  together <- rbind(ask("lama"), ask("baru"))
  expect_identical(together$answer, c("1999", "2004"))
  expect_true("answer" %in% rag_explain(together, 1)$verdict)
  expect_error(rag_explain(together, 2), "another answer now", class = "tanya_error_invalid_argument")
})

test_that("rag_explain() marks the answer of each rank, and what scored more", {
  index <- sample_index()
  answers <- rag_ask(index, "Berapa hari cuti tahunan karyawan tetap?", n = 3, threshold = 0)
  second <- rag_explain(answers, 2)
  marked <- second[second$verdict == "answer", ]
  expect_identical(marked$start, rep(answers$start[[2]], nrow(marked)))
  expect_true(all(second$score[second$verdict == "higher"] > answers$score[[2]]))
  expect_true("higher" %in% second$verdict)
})
