#' Models
#'
#' @description
#' Two models work together: an *embedder*, which finds passages, and a *reader*, which finds answers
#' in them. `rag_models()` lists those that tanya knows, in pairs that go well together (presets),
#' and tells where each would come from. Any other pair can be had too: embedders that
#' sentence-transformers can load and models for extractive question answering, by their name on the
#' Hugging Face hub or by the directory that they are in.
#'
#' @param preset Name of a preset, to see, or use, that one only.
#' @param ... Must be empty: the arguments after it are given by name.
#' @param embedder,reader A model to use instead of that of the preset: its name on the hub, or a
#'   directory.
#' @returns A tibble with a row for each model:
#'   * `preset`: name of the preset, `"custom"` where `embedder` or `reader` was given,
#'   * `role`: `"embedder"` or `"reader"`,
#'   * `model`: its name, or directory,
#'   * `status`: `"installed"`, `"to download"`, or `"incomplete"` where files of the package are
#'     missing,
#'   * `source`: where on this machine it is, `NA` if it isn't,
#'   * `size_mb`: megabytes to download, about; 0 for what the package brings,
#'   * `licence`: SPDX name,
#'   * `languages`: ISO 639 codes, `"mul"` for about a hundred of them,
#'   * `abstains`: whether a reader was trained to decline,
#'   * `threshold`, `temperature`, `bias`: calibration of readers that come with tanya, for reading
#'     one given text; [rag_ask()] has a threshold of its own,
#'   * `f1`: of these readers, from 0 to 100, on Indonesian questions of which half have no answer in
#'     the text.
#'
#'   What isn't known is `NA`; of models that are in no preset, that is all but the first three.
#'
#'   The two rows of one preset, or custom pair, are what [rag_index()] takes as `models`.
#' @section Where models come from:
#' A directory is used as it is. Other models are looked for in the cache of the Hugging Face hub on
#' this machine, then on the hub; the embedder of the preset `"compact"` also on the Python Package
#' Index, since many sites mirror that one and nothing else. Its reader comes with the package. Only
#' weights in the safetensors format are loaded, which cannot carry code.
#' @export
#' @examplesIf tanya::rag_available()
#' rag_models()
#' rag_models("indonesian")
#' rag_models(embedder = "intfloat/multilingual-e5-small", reader = "deepset/roberta-base-squad2")
rag_models <- function(preset = NULL, ..., embedder = NULL, reader = NULL) {
  check_dots(...)
  catalogue <- engine_call("list_models")
  if (is.null(preset) && is.null(embedder) && is.null(reader)) {
    return(catalogue)
  }
  preset <- check_choice(preset %||% "compact", unique(catalogue$preset))
  models <- catalogue[catalogue$preset == preset, ]
  models <- replace_model(models, catalogue, "embedder", embedder)
  replace_model(models, catalogue, "reader", reader)
}

replace_model <- function(models, catalogue, role, model, call = caller_env()) {
  if (is.null(model)) {
    return(models)
  }
  model <- check_string(model, arg = role, call = call)
  known <- which(catalogue$role == role & catalogue$model == model)
  row <- catalogue[if (length(known) > 0) known[[1]] else NA_integer_, ]
  row[c("role", "model")] <- list(role, model)
  models[models$role == role, ] <- row
  models$preset <- "custom"
  models
}

# A preset or a pair of models -> list(embedder, reader), as the engine takes them.
models_for_engine <- function(models, arg = "models", call = caller_env()) {
  if (is_string(models)) {
    arguments <- list(preset = models, embedder = NULL, reader = NULL)
    return(engine_call("resolve_models", arguments, call)[c("embedder", "reader")])
  }
  if (!is.data.frame(models) || !all(c("role", "model") %in% names(models)) ||
    !identical(sort(models$role), c("embedder", "reader"))) {
    abort_invalid_argument(
      c(
        "{.arg {arg}} must be the name of a preset, or two rows of {.fn rag_models}.",
        i = "For example {.code rag_models(\"indonesian\")}."
      ),
      call = call
    )
  }
  as.list(set_names(models$model, models$role))
}

embedder_for_engine <- function(model, call = caller_env()) {
  if (is.data.frame(model)) {
    return(models_for_engine(model, arg = "model", call = call)$embedder)
  }
  model <- check_string(model, call = call)
  presets <- unique(engine_call("list_models", call = call)$preset)
  if (model %in% presets) models_for_engine(model, call = call)$embedder else model
}

#' Stay off the network
#'
#' Once the models are on the machine, tanya does not need the network, and does not use it.
#' `rag_offline()` makes sure: after it nothing is looked up or fetched in this session, and a model
#' that isn't there is an error of class `tanya_error_model_unavailable`.
#'
#' The environment variable `TANYA_OFFLINE=1` does the same from the start, and so do those of the
#' Hugging Face libraries, `HF_HUB_OFFLINE` and `TRANSFORMERS_OFFLINE`. What they forbid,
#' `rag_offline(FALSE)` cannot allow.
#'
#' @param offline `TRUE` to forbid the network, `FALSE` to allow it.
#' @returns What the last call asked for, `FALSE` if there was none, invisibly.
#' @export
#' @examples
#' before <- rag_offline()
#' rag_offline(before)
rag_offline <- function(offline = TRUE) {
  offline <- check_flag(offline)
  before <- the$offline %||% FALSE
  the$offline <- offline
  # Python need not be started for this: engine_bridge() passes it on when it is.
  if (!is.null(the$bridge)) {
    before <- engine_call("set_offline", list(offline = offline))
  }
  invisible(before)
}
