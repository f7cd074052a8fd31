test_that("an index works inside a Shiny app", {
  skip_if_not_installed("shiny")
  index <- sample_index()
  server <- function(input, output, session) {
    answers <- shiny::reactive(rag_ask(index, input$question))
    output$answer <- shiny::renderText(answers()$answer)
    output$table <- shiny::renderTable(answers()[c("question", "answer", "document", "page")])
  }
  shiny::testServer(server, {
    session$setInputs(question = sample_questions[[1]])
    expect_match(output$answer, "14")
    expect_match(output$table, "kebijakan_cuti.md")
  })
})

test_that("the app that comes with tanya answers, declines, and tells of errors", {
  skip_if_not_installed("shiny")
  skip_if_no_engine()
  app <- system.file("shiny", package = "tanya")
  nothing <- "shiny.silent.error"
  suppressMessages(shiny::testServer(app, {
    session$setInputs(question = paste0(" ", sample_questions[[1]]), ask = 1)
    expect_match(output$answer$html, "<h3>14 hari kerja</h3>")
    expect_match(output$answer$html, "% sure \u00b7 kebijakan_cuti.md, ")
    expect_match(output$others, "kebijakan_cuti.md")
    page <- sub(".*base64,([^#]+)#answer.*", "\\1", output$document$html)
    page <- rawToChar(jsonlite::base64_dec(page))
    Encoding(page) <- "UTF-8"
    expect_match(page, ">14 hari kerja</mark>", fixed = TRUE)
    session$setInputs(question = sample_questions[[2]], ask = 2)
    expect_match(output$answer$html, "hold no answer")
    expect_error(output$document, class = nothing)
    session$setInputs(question = strrep("panjang sekali ", 400), ask = 3)
    expect_match(output$answer$html, "leaves no room for a passage")
    expect_error(output$others, class = nothing)
    session$setInputs(question = " ", ask = 4)
    expect_error(output$answer, class = nothing)
  }))
})
