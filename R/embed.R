#' Embed texts
#'
#' Gives each text its embedding: a point in a space where texts that mean similar things lie close
#' to each other. For clustering, maps and searches of your own.
#'
#' @inheritParams rag_index
#' @param x Texts, a character vector or factor. Names become row names.
#' @param model The name of a preset, or that of an embedding model: see [rag_models()].
#' @param role `"question"` and `"passage"` tell some models which side of a search a text is on;
#'   `"none"` is for all other uses.
#' @param precision `"bfloat16"` rounds what is multiplied where the processor is more than twice as
#'   fast with such numbers: the embeddings are nearly the same (cosines above 0.9999), and may
#'   differ in the last digits from one call to another. On other processors, and with
#'   `"float32"`, nothing is rounded.
#' @returns A numeric matrix with a row for each text, in order, and a column for each dimension of
#'   the model. Rows have length 1, so that `embeddings %*% t(embeddings)` are the cosines. The row of
#'   a missing text is `NA`.
#' @section Errors:
#' `tanya_error_model_unavailable`, `tanya_error_model_invalid`. See [tanya_error].
#' @export
#' @examplesIf tanya::rag_available()
#' comments <- c("mi terlalu asin", "bumbunya keasinan", "kurir datang terlambat")
#' embeddings <- rag_embed(comments)
#' dim(embeddings)
#' hclust(dist(embeddings))$merge
rag_embed <- function(x, ..., model = "compact", role = c("none", "question", "passage"),
                      precision = c("bfloat16", "float32")) {
  check_dots(...)
  labels <- names(x)
  texts <- check_text(x)
  arguments <- list(
    texts = to_engine(texts[!is.na(texts)]),
    role = check_choice(role, c("none", "question", "passage")),
    precision = check_choice(precision, precisions),
    embedder = embedder_for_engine(model),
    progress = progress_callback()
  )
  vectors <- engine_call("embed", arguments)
  embeddings <- matrix(NA_real_, nrow = length(texts), ncol = ncol(vectors))
  embeddings[!is.na(texts), ] <- vectors
  rownames(embeddings) <- labels
  embeddings
}
