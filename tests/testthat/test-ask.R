test_that("the main job: answers with their place, and none where there is none", {
  answers <- rag_ask(sample_index(), sample_questions)
  expect_s3_class(answers, c("tanya_answers", "tbl_df"), exact = FALSE)
  expect_named(answers, answer_columns)
  expect_identical(answers$question, sample_questions)
  expect_match(answers$answer[[1]], "14")
  expect_identical(answers$document[[1]], "kebijakan_cuti.md")
  expect_identical(answers$answer[[2]], NA_character_)
  expect_true(all(answers$score >= 0 & answers$score <= 1))
  expect_identical(answers$rank, c(1L, 1L))
})

test_that("columns have the same types whatever was found", {
  index <- sample_index()
  types <- vapply(rag_ask(index, sample_questions), typeof, "")
  expect_identical(vapply(rag_ask(index, character()), typeof, ""), types)
  expect_identical(vapply(rag_ask(index, sample_questions[[2]]), typeof, ""), types)
  expect_identical(nrow(rag_ask(index, character())), 0L)
})

test_that("every answer stands where it says, in every script", {
  index <- sample_index()
  gold <- utils::read.csv(
    system.file("extdata", "gold.csv", package = "tanya"),
    encoding = "UTF-8"
  )
  answers <- rag_ask(index, gold$question[seq(1, nrow(gold), by = 4)], n = 3, threshold = 0)
  texts <- rag_text(index, answers$document)
  expect_identical(substr(texts, answers$start, answers$end), answers$answer)
  expect_true(any(!is.na(answers$page)))

  awkward <- c(
    emoji = "\U0001F600\U0001F468\u200D\U0001F469\u200D\U0001F467 Kantor pusat di Bandung \U0001F3E2.",
    combining = "Cafe\u0301 re\u0301sume\u0301: kantor pusat ada di Bandung, e\u0301tage 3.",
    crlf = "Baris satu.\r\n\r\nKantor pusat ada di\r\nBandung.\r\nBaris tiga.\r\n",
    arab = paste(
      "\u064A\u0642\u0639 \u0627\u0644\u0645\u0642\u0631 \u0627\u0644\u0631\u0626\u064A\u0633\u064A",
      "\u0641\u064A \u0628\u0627\u0646\u062F\u0648\u0646\u063A. Kantor pusat ada di Bandung."
    ),
    cjk = "\u603B\u90E8\u5728\u4E07\u9686\u3002Kantor pusat ada di Bandung."
  )
  index <- text_index(awkward)
  answers <- rag_ask(index, "Di mana kantor pusat?", n = 20, k = 20, threshold = 0)
  expect_identical(rag_text(index, names(awkward)), unname(awkward))
  expect_gt(nrow(answers), 0)
  expect_identical(
    substr(rag_text(index, answers$document), answers$start, answers$end),
    answers$answer
  )
  places <- do.call(rbind, answers$elsewhere)
  found <- substr(rag_text(index, places$document), places$start, places$end)
  expect_true(all(grepl("Bandung|\u4E07\u9686|[[:alpha:]]", found)))
})

test_that("passages stand where they say, too", {
  index <- sample_index()
  passages <- rag_passages(index)
  texts <- rag_text(index, passages$document)
  expect_identical(substr(texts, passages$start, passages$end), passages$text)
  found <- rag_retrieve(index, sample_questions, k = 3)
  expect_identical(
    substr(rag_text(index, found$document), found$start, found$end),
    found$passage
  )
})

test_that("a batch gives what single questions give, duplicates included", {
  index <- sample_index()
  together <- rag_ask(index, c(sample_questions, sample_questions[[1]]))
  expect_identical(together$answer[[3]], together$answer[[1]])
  alone <- rag_ask(index, sample_questions[[1]])
  expect_identical(alone$answer, together$answer[[1]])
  expect_equal(alone$score, together$score[[1]], tolerance = 1e-4)
})

test_that("the threshold decides, and the candidate tells what was declined", {
  index <- sample_index()
  none <- rag_ask(index, sample_questions, threshold = 1)
  expect_true(all(is.na(none$answer)))
  expect_identical(none$support, c(0L, 0L))
  always <- rag_ask(index, sample_questions, threshold = 0)
  expect_false(anyNA(always$answer))
  expect_identical(none$candidate, always$answer)
})

test_that("a filter narrows the documents", {
  skip_if_no_engine()
  data <- data.frame(
    no = c("lama", "baru"), tahun = c(2022, 2024),
    isi = c("Harga keripik Rp15.000 per bungkus.", "Harga keripik Rp18.000 per bungkus.")
  )
  index <- suppressMessages(rag_index(data, path = tempfile(), text = isi, id = no))
  batas <- 2023
  expect_identical(rag_retrieve(index, "harga", filter = tahun > batas)$document, "baru")
  expect_identical(rag_retrieve(index, "harga", filter = tahun < !!batas)$document, "lama")
  expect_identical(rag_retrieve(index, "harga", filter = document == "lama")$document, "lama")
  answer <- rag_ask(index, "Berapa harga keripik?", filter = tahun == 2024, threshold = 0)
  expect_match(answer$answer, "18")
  expect_error(
    rag_ask(index, "Berapa?", filter = bulan == 1),
    class = "tanya_error_invalid_argument"
  )
})

test_that("questions that are missing or blank are an error", {
  index <- structure(list(path = "x"), class = "tanya_index")
  error <- expect_error(rag_ask(index, c("Apa?", NA)), class = "tanya_error_invalid_argument")
  expect_identical(error$details$positions, 2L)
  expect_error(rag_ask(index, 1), class = "tanya_error_invalid_argument")
  expect_error(rag_ask("x", "Apa?"), class = "tanya_error_invalid_argument")
  expect_error(rag_ask(index, "Apa?", n = 0), class = "tanya_error_invalid_argument")
  expect_error(rag_ask(index, "Apa?", method = "bm25"), class = "tanya_error_invalid_argument")
})

test_that("retrieval gives k passages for each question, best first", {
  index <- sample_index()
  for (method in retrieval_methods) {
    found <- rag_retrieve(index, sample_questions, k = 4, method = method)
    expect_true(all(table(found$question) <= 4))
    for (rows in split(found, found$question)) {
      expect_identical(rows$rank, seq_len(nrow(rows)))
      expect_false(is.unsorted(-rows$retrieval_score))
    }
  }
  expect_identical(nrow(rag_retrieve(index, character())), 0L)
})
