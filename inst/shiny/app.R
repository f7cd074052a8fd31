# A page that answers questions from the documents of an index. To try it:
#   shiny::runApp(system.file("shiny", package = "tanya"))
# To use it for your documents, copy this file, and give rag_open() the path of your index.

library(shiny)
library(tanya)

# Once for all visitors: models and index take a second or two to open.
index <- rag_index(system.file("extdata", "perusahaan", package = "tanya"))

ui <- fluidPage(
  titlePanel("Ask the documents"),
  # The Enter key asks as well.
  div(
    onkeydown = "if (event.key === 'Enter') { $(event.target).change(); $('#ask').click(); }",
    textInput("question", NULL, width = "100%", placeholder = "Berapa hari cuti tahunan?")
  ),
  actionButton("ask", "Ask", class = "btn-primary"),
  uiOutput("answer"),
  tableOutput("others"),
  uiOutput("document")
)

server <- function(input, output, session) {
  found <- eventReactive(input$ask, {
    question <- trimws(input$question)
    req(nzchar(question))
    # An error that the visitor can do something about, such as a question that is too long.
    tryCatch(rag_ask(index, question, n = 3), tanya_error = identity)
  })
  answers <- reactive({
    req(is.data.frame(found()))
    found()
  })

  output$answer <- renderUI({
    if (inherits(found(), "error")) {
      return(p(class = "text-danger", conditionMessage(found())))
    }
    best <- answers()[1, ]
    if (is.na(best$answer)) {
      return(h4("The documents hold no answer to this question."))
    }
    place <- c(best$document, if (!is.na(best$place)) best$place)
    tagList(
      h3(best$answer),
      p(paste0(round(100 * best$score), " % sure \u00b7 ", paste(place, collapse = ", ")))
    )
  })

  output$others <- renderTable({
    others <- answers()[-1, ]
    req(nrow(others) > 0)
    data.frame("Or else" = others$answer, Document = others$document, check.names = FALSE)
  })

  output$document <- renderUI({
    req(!is.na(answers()$answer[1]))
    page <- rag_show(answers(), open = FALSE)
    encoded <- gsub("\n", "", jsonlite::base64_enc(readBin(page, "raw", file.size(page))))
    # The frame begins at the answer, and may do nothing but show the document.
    source <- paste0("data:text/html;base64,", encoded, "#answer")
    tags$iframe(src = source, width = "100%", height = 400, sandbox = NA)
  })
}

shinyApp(ui, server)
