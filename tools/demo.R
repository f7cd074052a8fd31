# The main job, on the sample documents: index a folder, ask, and say how good the answers are.
library(tanya)
options(width = 110)

folder <- system.file("extdata", "perusahaan", package = "tanya")
index <- rag_index(folder, path = file.path(".setup", "perusahaan.tanya"))
print(index)

cat("\n> rag_ask(index, questions)\n")
print(rag_ask(index, c(
  "Berapa hari cuti tahunan karyawan tetap?",
  "berapa hari sih cuti melahirkan?",
  "Siapa presiden Prancis?"
)))

cat("\n> rag_evaluate(index, gold)\n")
gold <- read.csv(system.file("extdata", "gold.csv", package = "tanya"), encoding = "UTF-8")
evaluation <- rag_evaluate(index, gold)
print(evaluation, n = 5)
figures <- summary(evaluation)
cat(sprintf(
  "\n%.0f %% of %.0f answerable questions right, %.0f %% of %.0f unanswerable ones declined, %.2f s a question.\n",
  100 * figures$answerable_right, figures$answerable,
  100 * figures$unanswerable_declined, figures$unanswerable, figures$seconds_per_question
))
