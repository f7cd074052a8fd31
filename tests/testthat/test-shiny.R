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
