#' Map the passages of an index
#'
#' Draws each passage as a point, such that passages that mean similar things lie close to each other.
#' Shows what an index is about, which documents overlap, and what lies apart.
#'
#' A plane holds only a part of what tells passages apart: near on the map may be less near in truth.
#' To search, use [rag_similar()].
#'
#' @param object An index, from [rag_index()] or [rag_open()].
#' @param colour What colours show: the `"document"`, or the `"cluster"`, one of `clusters` groups of
#'   passages that are alike (Ward's method). The eight documents or clusters with most passages
#'   have a colour, the others share grey.
#' @param layout How many dimensions become two: `"pca"`, principal components, or `"umap"`, which
#'   shows groups more clearly and needs the package uwot.
#' @param clusters How many clusters to look for.
#' @param limit How many passages to draw at most. Of a larger index they are taken evenly from
#'   all documents, and the caption says so.
#' @param ... Must be empty.
#' @returns A ggplot object; its data have a row for each point with `x`, `y`, `cluster` and the
#'   columns of [rag_passages()]. Needs the package ggplot2.
#' @references McInnes, Healy and Melville (2018), "UMAP: Uniform Manifold Approximation and
#'   Projection for Dimension Reduction", arXiv:1802.03426.
#' @exportS3Method ggplot2::autoplot
#' @examplesIf tanya::rag_available() && requireNamespace("ggplot2", quietly = TRUE)
#' index <- rag_index(system.file("extdata", "perusahaan", package = "tanya"))
#' ggplot2::autoplot(index)
#' ggplot2::autoplot(index, colour = "cluster", clusters = 5)
autoplot.tanya_index <- function(object, colour = c("document", "cluster"),
                                 layout = c("pca", "umap"), clusters = 8, limit = 2000, ...) {
  check_dots(...)
  check_installed("ggplot2", "to plot an index.")
  colour <- check_choice(colour, c("document", "cluster"))
  layout <- check_choice(layout, c("pca", "umap"))
  if (layout == "umap") {
    check_installed("uwot", "to lay out passages by UMAP.")
  }
  value <- engine_call("vectors", list(path = object$path, limit = check_count(limit)))
  vectors <- from_engine(value$vectors)
  points <- from_engine(value$passages)
  points[c("x", "y")] <- as.data.frame(plane(vectors, layout))
  points$cluster <- cluster_rows(vectors, check_count(clusters))
  plot_map(points, colour, layout, of = value$of)
}

# Two columns, a row for each row of `vectors`.
plane <- function(vectors, layout) {
  if (nrow(vectors) < 3) {
    return(cbind(seq_len(nrow(vectors)), rep(0, nrow(vectors))))
  }
  if (layout == "umap") {
    neighbours <- min(15, nrow(vectors) - 1)
    return(with_fixed_seed(uwot::umap(vectors, n_neighbors = neighbours, metric = "cosine")))
  }
  parts <- stats::prcomp(vectors, rank. = 2)
  # The sign of a component is arbitrary: choose one, so that every machine draws the same map.
  signs <- apply(parts$rotation, 2, \(axis) sign(axis[[which.max(abs(axis))]]))
  sweep(parts$x, 2, signs, `*`)
}

cluster_rows <- function(vectors, clusters) {
  if (nrow(vectors) < 3) {
    return(rep(1L, nrow(vectors)))
  }
  tree <- stats::hclust(stats::dist(vectors), method = "ward.D2")
  unname(stats::cutree(tree, k = min(clusters, nrow(vectors))))
}

# The random numbers of the session go on as if nothing had been drawn.
with_fixed_seed <- function(expr) {
  before <- globalenv()$.Random.seed
  on.exit(if (is.null(before)) {
    rm(".Random.seed", envir = globalenv())
  } else {
    assign(".Random.seed", before, envir = globalenv())
  })
  set.seed(1)
  expr
}

plot_map <- function(points, colour, layout, of) {
  groups <- as.character(points[[colour]])
  largest <- utils::head(names(sort(table(groups), decreasing = TRUE)), length(plot_colours))
  shown <- factor(ifelse(groups %in% largest, groups, "others"), c(sort(largest), "others"))
  points$shown <- droplevels(shown)
  colours <- set_names(c(plot_colours[seq_along(largest)], "grey70"), c(sort(largest), "others"))
  title <- if (colour == "document") "Document" else "Cluster"
  axis <- if (layout == "pca") "Principal component" else "UMAP"
  ggplot2::ggplot(points, ggplot2::aes(.data$x, .data$y, colour = .data$shown)) +
    ggplot2::geom_point(alpha = 0.8) +
    ggplot2::scale_colour_manual(values = colours) +
    ggplot2::labs(
      x = paste(axis, 1), y = paste(axis, 2), colour = title,
      caption = if (nrow(points) < of) {
        paste(format(nrow(points), big.mark = ","), "of", format(of, big.mark = ","), "passages")
      } else {
        counted(of, "passage")
      }
    ) +
    ggplot2::theme_minimal()
}
