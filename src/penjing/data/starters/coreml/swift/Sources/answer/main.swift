import Foundation
import LocalModel

guard CommandLine.arguments.count == 3 else {
    print("answer FOLDER QUESTION")
    exit(2)
}
let model = try await LocalModel(folder: URL(fileURLWithPath: CommandLine.arguments[1]))
for try await piece in await model.answer(CommandLine.arguments[2]) {
    print(piece, terminator: "")
    fflush(stdout)
}
print()
