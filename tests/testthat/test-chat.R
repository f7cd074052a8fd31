test_that("questions are asked until an empty line", {
  index <- sample_index()
  input <- textConnection(c(sample_questions, "", "not asked"))
  withr::defer(close(input))
  output <- capture.output(asked <- chat(index, line_reader(input)))
  expect_identical(asked$question, sample_questions)
  expect_match(output, "^Tanya: 14.*kebijakan_cuti.md", all = FALSE)
  expect_match(output, "^Tanya lagi\\? 1 question has no answer", all = FALSE)
})

test_that("what was asked comes back in one tibble", {
  both <- bind_answers(list(made_answers()[1, ], made_answers()[2, ]))
  expect_identical(both, made_answers())
  expect_null(bind_answers(list()))
})

test_that("an answer is shown with its place", {
  expect_snapshot({
    writeLines(chat_lines(made_answers()[1, ]))
    writeLines(chat_lines(made_answers()[2, ]))
    writeLines(chat_lines(made_answers(abstains = FALSE)[1, ]))
  })
  expect_false(is_question("Q "))
  expect_false(is_question(""))
  expect_true(is_question("Apa?"))
})
